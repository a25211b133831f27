//! Compares the output of the program with `tests/cmd`, word for word. TRYCMD=overwrite updates these files.

#[test]
#[cfg_attr(feature = "bucket", ignore = "the snapshots name the default backends")]
fn help_and_short_flows() {
    trycmd::TestCases::new().env("COLUMNS", "100").case("tests/cmd/*.trycmd");
}
