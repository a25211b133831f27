//! The macro that a backend's author calls, and the functions that its tests run.

use std::{env, fs, path::Path};

use super::{Failure, Fixture, Law, Level, Mode, Options, Verdict, law, run};

/// Makes one ordinary `#[test]` for each law: `conformance_tests!(my_backend, MyFixture::default());`.
///
/// The first argument names the module that holds the tests. The second is an expression that returns a [`Fixture`]; it
/// is evaluated once for each law.
///
/// If the store offers more than blocks, heads and commits, list its [`Profile`](crate::conformance::Profile)s and
/// [`Claim`](crate::conformance::Claim)s in the same line:
///
/// ```
/// # use mnem_store_traits::conformance::DriverFixture;
/// # fn main() {}
/// mnem_store_traits::conformance_tests!(
///     my_backend,
///     MyFixture::default(),
///     has: [Blocks, Heads, Store, Limits, SideTables, Persistence, PutsSurvivePower, HeadsSurvivePower, AtomicCommit],
/// );
/// ```
///
/// A law that needs anything else becomes an ignored test, with the reason. The test
/// `my_backend::declares_what_the_macro_says` compares the list with the fixture and its store. If they differ, it
/// fails and prints the list to write.
///
/// `inapplicable: [law, …]` ignores laws that the store has no way to break, such as the law about a truncated file if
/// a store is not a single file. The same test checks that the suite really declines these laws.
///
/// One more test, `my_backend::report`, is ignored by default. It runs all laws and prints a
/// [`Report`](crate::conformance::Report): `cargo test my_backend::report -- --ignored --nocapture`.
#[macro_export]
macro_rules! conformance_tests {
    ($backend:ident, $fixture:expr $(,)?) => {
        $crate::conformance_tests!($backend, $fixture, has: [Blocks, Heads, Store, Limits]);
    };
    (
        $backend:ident, $fixture:expr,
        has: [$($has:ident),* $(,)?] $(, inapplicable: [$($law:ident),* $(,)?])? $(,)?
    ) => {
        $crate::__conformance_laws!(tests $backend, $fixture, [$($has)*], [$($($law)*)?]);
    };
}

/// Formats the list of laws for one use. `__conformance_laws!` passes the list here, after a first argument that names
/// the use.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_expand {
    ([tests $backend:ident, $fixture:expr, [$($has:ident)*], [$($inapplicable:ident)*]]
     blocks $blocks:tt heads $heads:tt store $store:tt $($direct:ident $laws:tt)*) => {
        #[cfg(test)]
        mod $backend {
            #[allow(unused_imports, reason = "the fixture's expression may need names from the file that holds the line")]
            use super::*;

            fn fixture() -> impl $crate::conformance::Fixture {
                $fixture
            }

            #[test]
            #[ignore = "runs all laws once more and prints one report: run it with --ignored --nocapture"]
            fn report() {
                $crate::conformance::report_on(fixture());
            }

            #[test]
            fn declares_what_the_macro_says() {
                let (has, inapplicable) = (&[$(stringify!($has)),*], &[$(stringify!($inapplicable)),*]);
                $crate::conformance::assert_declared(fixture(), has, inapplicable);
            }

            $crate::__conformance_test_of! { ($) $backend [] [$($has)*] [$($inapplicable)*] }

            $crate::__conformance_expand! {
                [groups $backend Direct] blocks [] $blocks heads [] $heads store [] $store $($direct [] $laws)*
            }
            $crate::__conformance_expand! {
                [modes $backend [blocks $blocks heads $heads store $store]]
                forwarded Forwarded [] [] []
                buffered Buffered [Store] [Store] [Store]
                reopened Reopened
                    [Persistence PutsSurvive] [Persistence HeadsSurvive] [Persistence PutsSurvive HeadsSurvive]
                buffered_reopened BufferedReopened
                    [Store Persistence PutsSurvive] [Store Persistence HeadsSurvive]
                    [Store Persistence PutsSurvive HeadsSurvive]
                second_handle SecondHandle [SecondReader] [SecondReader] [SecondReader]
            }
        }
    };
    // Each mode, with what it needs for the laws of each group.
    ([modes $backend:ident $laws:tt] $($module:ident $mode:ident $blocks:tt $heads:tt $store:tt)*) => {
        $(mod $module {
            use super::fixture;

            $crate::__conformance_expand! { [in $backend $mode $blocks $heads $store] $laws }
        })*
    };
    ([in $backend:ident $mode:ident $for_blocks:tt $for_heads:tt $for_store:tt]
     [blocks $blocks:tt heads $heads:tt store $store:tt]) => {
        $crate::__conformance_expand! {
            [groups $backend $mode]
            blocks $for_blocks $blocks heads $for_heads $heads store $for_store $store
        }
    };
    ([groups $backend:ident $mode:ident] $($group:ident $needs:tt $laws:tt)*) => {
        $(mod $group {
            $crate::__conformance_expand! { [group $backend $mode $needs] $laws }
        })*
    };
    ([group $backend:ident $mode:ident $needs:tt]
     {$($level:ident $topic:ident $law:ident [$($profile:ident)* $(; $($claim:ident)*)?] $promise:literal)*}) => {
        $($backend! { [$($profile)* $($($claim)*)?] $needs [$mode $law] })*
    };
    ([registry]
     $($group:ident { $($level:ident $topic:ident $law:ident [$($profile:ident)* $(; $($claim:ident)*)?] $promise:literal)* })*) => {
        &[$($(Law {
            id: stringify!($law),
            group: $crate::__conformance_expand!([name $group]),
            topic: stringify!($topic),
            level: $crate::__conformance_expand!([level $level]),
            profiles: &[$(Profile::$profile),*],
            claims: &[$($(Claim::$claim),*)?],
            promise: $promise,
            source: include_str!(concat!("laws/", stringify!($topic), ".rs")),
            check: super::laws::$topic::$law,
        }),*),*]
    };
    ([name blocks]) => { Group::Blocks };
    ([name heads]) => { Group::Heads };
    ([name store]) => { Group::Store };
    ([name ways]) => { Group::Ways };
    ([name persistence]) => { Group::Persistence };
    ([name concurrency]) => { Group::Concurrency };
    ([name faults]) => { Group::Faults };
    ([name driver]) => { Group::Driver };
    ([level must]) => { Level::Must };
    ([level should]) => { Level::Should };
}

/// Defines the macro `name!`, which makes the test of one law: `name! { [needs] [needs of the mode] [mode law] }`. The
/// test is ignored unless the line of `conformance_tests!` names all needs. The arguments, after a `$`, are `[names
/// done] [names to do] [inapplicable laws]`.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_test_of {
    ($d:tt $name:ident $done:tt [] $inapplicable:tt) => {
        $crate::__conformance_test_of! { @define $d $name $done $inapplicable }
    };
    ($d:tt $name:ident [$($done:ident)*] [SecondHandle $($more:ident)*] $inapplicable:tt) => {
        $crate::__conformance_test_of! { $d $name [$($done)* SecondHandle SecondReader] [$($more)*] $inapplicable }
    };
    ($d:tt $name:ident [$($done:ident)*] [PutsSurvivePower $($more:ident)*] $inapplicable:tt) => {
        $crate::__conformance_test_of! { $d $name [$($done)* PutsSurvivePower PutsSurvive] [$($more)*] $inapplicable }
    };
    ($d:tt $name:ident [$($done:ident)*] [HeadsSurvivePower $($more:ident)*] $inapplicable:tt) => {
        $crate::__conformance_test_of! { $d $name [$($done)* HeadsSurvivePower HeadsSurvive] [$($more)*] $inapplicable }
    };
    ($d:tt $name:ident [$($done:ident)*] [$next:ident $($more:ident)*] $inapplicable:tt) => {
        $crate::__conformance_test_of! { $d $name [$($done)* $next] [$($more)*] $inapplicable }
    };
    (@define ($d:tt) $name:ident [$($has:ident)*] [$($inapplicable:ident)*]) => {
        macro_rules! $name {
            $(($d needs:tt $d more:tt [$d mode:ident $inapplicable]) => {
                $crate::__conformance_test! { "listed as inapplicable to this backend" [$d mode $inapplicable] }
            };)*
            ([] [] $d test:tt) => {
                $crate::__conformance_test! { $d test }
            };
            ([] $d more:tt $d test:tt) => {
                $name! { $d more [] $d test }
            };
            $(([$has $d($d needs:ident)*] $d more:tt $d test:tt) => {
                $name! { [$d($d needs)*] $d more $d test }
            };)*
            ([$d absent:ident $d($d needs:ident)*] $d more:tt $d test:tt) => {
                $crate::__conformance_test! { $d absent $d test }
            };
        }
    };
}

/// Makes one test for `[mode law]`. A preceding name of a missing need, or a reason, makes it an ignored test.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_test {
    ([$mode:ident $law:ident]) => {
        #[test]
        fn $law() {
            $crate::conformance::assert_law(super::fixture(), $crate::conformance::Mode::$mode, stringify!($law));
        }
    };
    (Blocks $test:tt) => {
        $crate::__conformance_test! { "the fixture has no profile blocks" $test }
    };
    (Heads $test:tt) => {
        $crate::__conformance_test! { "the fixture has no profile heads" $test }
    };
    (Store $test:tt) => {
        $crate::__conformance_test! { "the fixture has no profile store" $test }
    };
    (Limits $test:tt) => {
        $crate::__conformance_test! { "the fixture has no profile limits" $test }
    };
    (SideTables $test:tt) => {
        $crate::__conformance_test! { "the fixture has no profile side tables" $test }
    };
    (Persistence $test:tt) => {
        $crate::__conformance_test! { "profile persistence is not declared" $test }
    };
    (SecondHandle $test:tt) => {
        $crate::__conformance_test! { "profile second handle is not declared" $test }
    };
    (SecondReader $test:tt) => {
        $crate::__conformance_test! { "profile second reader is not declared" $test }
    };
    (SecondProcess $test:tt) => {
        $crate::__conformance_test! { "profile second process is not declared" $test }
    };
    (Damage $test:tt) => {
        $crate::__conformance_test! { "profile damage is not declared" $test }
    };
    (Faults $test:tt) => {
        $crate::__conformance_test! { "profile faults is not declared" $test }
    };
    (Crash $test:tt) => {
        $crate::__conformance_test! { "profile crash is not declared" $test }
    };
    (Locks $test:tt) => {
        $crate::__conformance_test! { "profile locks is not declared" $test }
    };
    (Network $test:tt) => {
        $crate::__conformance_test! { "profile network is not declared" $test }
    };
    (Driver $test:tt) => {
        $crate::__conformance_test! { "profile driver is not declared" $test }
    };
    (PutsSurvive $test:tt) => {
        $crate::__conformance_test! { "capability put_durability >= Process is not claimed" $test }
    };
    (PutsSurvivePower $test:tt) => {
        $crate::__conformance_test! { "capability put_durability = Power is not claimed" $test }
    };
    (AtomicPutMany $test:tt) => {
        $crate::__conformance_test! { "capability atomic_put_many is not claimed" $test }
    };
    (AtomicCommit $test:tt) => {
        $crate::__conformance_test! { "capability atomic_commit is not claimed" $test }
    };
    (AtomicSideTableWrites $test:tt) => {
        $crate::__conformance_test! { "capability atomic_side_table_writes is not claimed" $test }
    };
    (CumulativeDurability $test:tt) => {
        $crate::__conformance_test! { "capability cumulative_durability is not claimed" $test }
    };
    (HeadsSurvive $test:tt) => {
        $crate::__conformance_test! { "capability durability of heads >= Process is not claimed" $test }
    };
    (HeadsSurvivePower $test:tt) => {
        $crate::__conformance_test! { "capability durability of heads = Power is not claimed" $test }
    };
    (AtomicHeads $test:tt) => {
        $crate::__conformance_test! { "capability atomic_heads is not claimed" $test }
    };
    ($why:tt [$mode:ident $law:ident]) => {
        #[test]
        #[ignore = $why]
        fn $law() {
            $crate::conformance::assert_law(super::fixture(), $crate::conformance::Mode::$mode, stringify!($law));
        }
    };
}

/// Runs one law as a test. [`conformance_tests!`](crate::conformance_tests) calls this.
///
/// A broken should-law is printed and does not fail the test.
///
/// # Panics
/// - A must-law is broken. The message says what was promised, done, expected and seen.
/// - The law is declined: its test should have been ignored.
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

/// The text that a test prints (`Ok`) or fails with (`Err`).
fn told(law: &Law, mode: Mode, backend: &str, verdict: Verdict) -> Result<Option<String>, String> {
    match verdict {
        Verdict::Passed => Ok(None),
        Verdict::Declined(why) => Err(format!(
            "law {path} did not run: {why}\n  \
             correct the line of conformance_tests!, so that this test is ignored: the test \
             declares_what_the_macro_says prints its list `has`\n  \
             if {backend} has nothing that the law could test, add inapplicable: [{id}]",
            path = law.path_in(mode),
            id = law.id,
        )),
        Verdict::Failed(failure) => {
            let text = law.failure_text(mode, backend, &failure);
            if law.level == Level::Should {
                Ok(Some(format!("a should-law, so no failure: {text}")))
            } else {
                Err(text)
            }
        }
    }
}

/// Runs every law and prints the report. [`conformance_tests!`](crate::conformance_tests) calls this.
///
/// If the environment variable `MNEM_CONFORMANCE_REPORT` names a folder, the report is also written there as JSON, in a
/// file named after the backend.
///
/// # Panics
/// When a law is broken, or when the file cannot be written.
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
    /// [`path`](Self::path), prefixed with the module of the mode unless that is [`Mode::Direct`].
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
        assert_eq!(broken(Level::Should), Ok(Some(format!("a should-law, so no failure: {text}"))));
        assert_eq!(told(&laws()[0], Mode::Direct, "a backend", Verdict::Passed), Ok(None));
    }

    /// A law that did not run never counts as kept.
    #[test]
    fn a_declined_law_fails_its_test() {
        let declined = Verdict::Declined("profile damage is not declared by the fixture".into());
        let text = told(&laws()[0], Mode::Reopened, "a backend", declined).expect_err("no success");
        let begins =
            "law reopened::blocks::absent_is_none did not run: profile damage is not declared by the fixture\n";
        assert!(text.starts_with(begins) && text.ends_with("inapplicable: [absent_is_none]"), "{text}");
    }
}
