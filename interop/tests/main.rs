//! What both families compute and store must agree.

mod files;
mod flows;
mod knn;
mod migrating;
mod processes;
mod redb41;
mod tool;
mod traces;
mod work;
