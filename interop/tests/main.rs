//! What both families compute and store must agree.

mod knn;
