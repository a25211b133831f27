//! Tests of the carlog backend beyond the conformance suite.
