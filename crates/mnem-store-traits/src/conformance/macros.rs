//! The line a backend's author writes, and what its tests call.

use std::{env, fs, path::Path};

use super::{Failure, Fixture, Law, Level, Mode, Options, Verdict, law, run};

/// Makes one ordinary `#[test]` for each law: `conformance_tests!(my_backend, MyFixture::default());`.
///
/// The first argument names the module that holds the tests, the second is an expression for a value that implements
/// [`Fixture`]; it is evaluated once for each law.
///
/// One more test, `my_backend::report`, is left out unless asked for: it runs them all and prints [`Report`](crate::conformance::Report), as
/// `cargo test my_backend::report -- --ignored --nocapture`.
#[macro_export]
macro_rules! conformance_tests {
    ($backend:ident, $fixture:expr $(,)?) => {
        $crate::__conformance_laws!(tests $backend, $fixture);
    };
}

/// Gives the list of laws, which `__conformance_laws!` puts behind a mode, the shape that the mode asks for.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_expand {
    ([tests $backend:ident, $fixture:expr]
     blocks { $($blocks:tt)* } heads { $($heads:tt)* } store { $($store:tt)* } $($direct:ident { $($laws:tt)* })*) => {
        #[cfg(test)]
        mod $backend {
            #[allow(unused_imports, reason = "the fixture's expression may need names from the file that holds the line")]
            use super::*;

            fn fixture() -> impl $crate::conformance::Fixture {
                $fixture
            }

            #[test]
            #[ignore = "runs every law once more, for one report: ask for it with --ignored --nocapture"]
            fn report() {
                $crate::conformance::report_on(fixture());
            }

            $crate::__conformance_expand! {
                [groups Direct] blocks { $($blocks)* } heads { $($heads)* } store { $($store)* } $($direct { $($laws)* })*
            }
            $crate::__conformance_expand! {
                [modes
                    forwarded Forwarded, buffered Buffered, reopened Reopened,
                    buffered_reopened BufferedReopened, second_handle SecondHandle]
                [blocks { $($blocks)* } heads { $($heads)* } store { $($store)* }]
            }
        }
    };
    ([modes $($module:ident $mode:ident),*] $sequential:tt) => {
        $(mod $module {
            use super::fixture;

            $crate::__conformance_expand! { [in $mode] $sequential }
        })*
    };
    ([in $mode:ident] [$($groups:tt)*]) => {
        $crate::__conformance_expand! { [groups $mode] $($groups)* }
    };
    ([groups $mode:ident]
     $($group:ident { $($level:ident $topic:ident $law:ident [$($profile:ident)* $(; $($claim:ident)*)?] $promise:literal)* })*) => {
        $(mod $group {
            $(#[test]
            fn $law() {
                $crate::conformance::assert_law(super::fixture(), $crate::conformance::Mode::$mode, stringify!($law));
            })*
        })*
    };
    ([registry]
     $($group:ident { $($level:ident $topic:ident $law:ident [$($profile:ident)* $(; $($claim:ident)*)?] $promise:literal)* })*) => {
        &[$($(Law {
            id: stringify!($law),
            group: $crate::__conformance_expand!([group $group]),
            topic: stringify!($topic),
            level: $crate::__conformance_expand!([level $level]),
            profiles: &[$(Profile::$profile),*],
            claims: &[$($(Claim::$claim),*)?],
            promise: $promise,
            source: include_str!(concat!("laws/", stringify!($topic), ".rs")),
            check: super::laws::$topic::$law,
        }),*),*]
    };
    ([group blocks]) => { Group::Blocks };
    ([group heads]) => { Group::Heads };
    ([group store]) => { Group::Store };
    ([group ways]) => { Group::Ways };
    ([group persistence]) => { Group::Persistence };
    ([group concurrency]) => { Group::Concurrency };
    ([group faults]) => { Group::Faults };
    ([group driver]) => { Group::Driver };
    ([level must]) => { Level::Must };
    ([level should]) => { Level::Should };
}

/// Runs one law as a test: what [`conformance_tests!`](crate::conformance_tests) calls.
///
/// # Panics
/// When a must-law is broken, with what was promised, done, expected and seen. A law that is declined, and a should-law that is broken, prints
/// so and returns.
#[track_caller]
pub fn assert_law(fixture: impl Fixture, mode: Mode, id: &str) {
    let Some(law) = law(id) else { panic!("there is no law {id}") };
    let backend = fixture.name().to_owned();
    match told(law, mode, &backend, law.run_in(mode, fixture)) {
        Ok(None) => {}
        Ok(Some(remark)) => println!("{remark}"),
        Err(broken) => panic!("{broken}"),
    }
}

/// What a test prints, or what it fails with.
fn told(law: &Law, mode: Mode, backend: &str, verdict: Verdict) -> Result<Option<String>, String> {
    match verdict {
        Verdict::Passed => Ok(None),
        Verdict::Declined(why) => Ok(Some(format!("declined: {why}"))),
        Verdict::Failed(failure) => {
            let text = law.failure_text(mode, backend, &failure);
            if law.level == Level::Should { Ok(Some(format!("not kept, as a backend may: {text}"))) } else { Err(text) }
        }
    }
}

/// Runs every law and prints the report: what [`conformance_tests!`](crate::conformance_tests) calls. Where the environment names a folder as
/// `MNEM_CONFORMANCE_REPORT`, the report in JSON goes there, into a file with the name of the backend.
///
/// # Panics
/// When a law is broken, and when the file cannot be written.
pub fn report_on(fixture: impl Fixture) {
    let report = run(fixture, &Options::default());
    println!("{report}");
    if let Some(folder) = env::var_os("MNEM_CONFORMANCE_REPORT") {
        let name: String =
            report.backend.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect();
        let file = Path::new(&folder).join(name).with_extension("json");
        if let Err(error) = fs::write(&file, report.to_json()) {
            panic!("cannot write {}: {error}", file.display());
        }
    }
    assert!(report.is_ok(), "{} breaks the contract: see the report above", report.backend);
}

impl Law {
    /// [`path`](Self::path), below the module of the mode unless that is [`Mode::Direct`].
    pub fn path_in(&self, mode: Mode) -> String {
        if mode == Mode::Direct { self.path() } else { format!("{mode}::{self}") }
    }

    pub(crate) fn failure_text(&self, mode: Mode, backend: &str, failure: &Failure) -> String {
        let (path, promise, place) = (self.path_in(mode), self.promise, self.place());
        format!("law {path} is broken by {backend}\n  promised  {promise}\n  {failure}\n  law       {place}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::laws;

    #[test]
    fn a_broken_law_fails_its_test_unless_a_backend_may_break_it() {
        let broken = |level| {
            let law = Law { level, ..laws()[0] };
            told(&law, Mode::Direct, "a backend", Verdict::Failed(Failure::new("it", "yes", "no")))
        };
        let text = broken(Level::Must).expect_err("a must-law");
        assert!(text.starts_with("law blocks::absent_is_none is broken by a backend\n"), "{text}");
        assert_eq!(broken(Level::Should), Ok(Some(format!("not kept, as a backend may: {text}"))));
        assert_eq!(told(&laws()[0], Mode::Direct, "a backend", Verdict::Passed), Ok(None));
    }
}
