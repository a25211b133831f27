//! What both families compute and store must agree.

mod flows;
mod knn;
mod traces;
