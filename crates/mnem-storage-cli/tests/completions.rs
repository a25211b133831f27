//! `completions`.

use crate::support::Place;

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).ok();
        for word in ["mnem-store", "import", "verify", "supersedes", "lock-wait"] {
            assert!(script.contains(word), "{word} in the script for {shell}");
        }
    }
    place.run(&["completions", "cmd"]).fails(2);
}
