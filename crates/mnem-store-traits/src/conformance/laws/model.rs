//! Random sequences of operations, compared with a model.

use crate::conformance::{
    case::Case,
    failure::LawResult,
    model::{Part, agrees_with_the_model},
};

pub(crate) fn random_block_operations_agree_with_a_model(case: &mut Case) -> LawResult {
    Ok(agrees_with_the_model(case, &[Part::Blocks], 60)?)
}

pub(crate) fn random_head_changes_agree_with_a_model(case: &mut Case) -> LawResult {
    Ok(agrees_with_the_model(case, &[Part::Heads], 80)?)
}

pub(crate) fn random_commits_agree_with_a_model(case: &mut Case) -> LawResult {
    Ok(agrees_with_the_model(case, &[Part::Commits, Part::Commits, Part::Blocks, Part::Heads], 60)?)
}

pub(crate) fn random_side_table_writes_agree_with_a_model(case: &mut Case) -> LawResult {
    Ok(agrees_with_the_model(case, &[Part::SideTable], 40)?)
}

pub(crate) fn random_operations_survive_reopening(case: &mut Case) -> LawResult {
    Ok(agrees_with_the_model(case, &[Part::Commits, Part::Blocks, Part::Heads, Part::Reopening], 40)?)
}
