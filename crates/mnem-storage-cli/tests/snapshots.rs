//! What the program says, word for word: `tests/cmd`. With TRYCMD=overwrite they become what it says now.

#[test]
fn help_and_short_flows() {
    trycmd::TestCases::new().env("COLUMNS", "100").case("tests/cmd/*.trycmd");
}
