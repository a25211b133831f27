//! Checks that the line of `conformance_tests!` agrees with the fixture.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Claim, Fixture, Profile, Verdict,
    case::Case,
    fixture::{AnyFixture, Erased},
    law,
    random::Seeds,
};

/// Compares what the line of [`conformance_tests!`](crate::conformance_tests) says with the fixture and its store.
///
/// # Panics
/// When the line names something that the fixture and the store do not have, or leaves something out; when a law that
/// it lists as inapplicable applies; and when no store can be opened.
#[track_caller]
pub fn assert_declared(fixture: impl Fixture, has: &[&str], inapplicable: &[&str]) {
    let fixture: Arc<dyn AnyFixture> = Arc::new(Erased(Arc::new(fixture)));
    let there = Case::ask(Arc::clone(&fixture), Seeds::from_environment(), what_is_there);
    let Some(there) = there else {
        panic!(
            "no store of {} could be opened, or it did not answer: the tests of the group blocks show the error",
            fixture.name()
        )
    };
    if let Err(wrong) = compared(&there, has) {
        panic!("{wrong}");
    }
    for id in inapplicable {
        let Some(law) = law(id) else { panic!("there is no law {id}") };
        for mode in law.modes() {
            let verdict = law.run_erased(*mode, Arc::clone(&fixture), Seeds::from_environment());
            let declined = matches!(verdict, Verdict::Declined(_));
            assert!(
                declined,
                "law {} is listed as inapplicable, but applies ({verdict:?}): remove it from the list",
                law.path_in(*mode)
            );
        }
    }
}

/// The names of all profiles and claims that a store has.
fn what_is_there(case: &Case) -> Vec<String> {
    let profiles = Profile::ALL.into_iter().filter(|profile| case.has(*profile)).map(|profile| format!("{profile:?}"));
    let claims = Claim::ALL.into_iter().filter(|claim| case.claims(*claim)).map(|claim| format!("{claim:?}"));
    profiles.chain(claims).collect()
}

/// The name that another name implies. The macro has the same rules.
fn implied_by(name: &str) -> Option<&'static str> {
    match name {
        "SecondHandle" => Some("SecondReader"),
        "PutsSurvivePower" => Some("PutsSurvive"),
        "HeadsSurvivePower" => Some("HeadsSurvive"),
        _ => None,
    }
}

fn compared(there: &[String], has: &[&str]) -> Result<(), String> {
    let implied: BTreeSet<&str> = there.iter().filter_map(|name| implied_by(name)).collect();
    let said: BTreeSet<&str> = has.iter().copied().chain(has.iter().filter_map(|name| implied_by(name))).collect();
    let is: BTreeSet<&str> = there.iter().map(String::as_str).collect();
    if said == is {
        return Ok(());
    }
    let list =
        |names: BTreeSet<&str>| if names.is_empty() { "nothing".to_owned() } else { Vec::from_iter(names).join(", ") };
    let line: Vec<&str> = there.iter().map(String::as_str).filter(|name| !implied.contains(name)).collect();
    Err(format!(
        "the line of conformance_tests! and the fixture differ\n  \
         only in the line     {}\n  only in the fixture  {}\n  write                has: [{}]",
        list(&said - &is),
        list(&is - &said),
        line.join(", "),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_line_nor_the_fixture_can_lie() {
        let there = ["Blocks", "SecondHandle", "SecondReader", "PutsSurvive"].map(str::to_owned);
        assert_eq!(compared(&there, &["Blocks", "PutsSurvive", "SecondHandle"]), Ok(()));
        assert_eq!(compared(&there, &["Blocks", "PutsSurvive", "SecondHandle", "SecondReader"]), Ok(()));
        let text = compared(&there, &["Blocks", "PutsSurvivePower", "SecondReader", "Damge"]).unwrap_err();
        let expected = "the line of conformance_tests! and the fixture differ\n  \
                        only in the line     Damge, PutsSurvivePower\n  only in the fixture  SecondHandle\n  \
                        write                has: [Blocks, SecondHandle, PutsSurvive]";
        assert_eq!(text, expected);
    }
}
