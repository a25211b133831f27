//! `man`.

use crate::support::Place;

#[test]
fn every_command_has_a_page_with_its_examples() {
    let place = Place::new();
    let said = place.run(&["man", "--out", "pages"]).ok();
    let names: Vec<String> = std::fs::read_dir(place.path("pages"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    assert_eq!(said, format!("wrote {} manual pages into pages\n", names.len()));
    for name in ["mnem-store.1", "mnem-store-import.1", "mnem-store-heads-swap.1", "mnem-store-knn-build.1"] {
        assert!(names.iter().any(|written| written == name), "{name} in {names:?}");
    }
    for name in names {
        let page = String::from_utf8(place.read(&format!("pages/{name}"))).expect("text");
        let examples = "\n.SH \"EXAMPLES\"\n.nf\n  mnem\\-store ";
        assert!(page.contains(examples), "{name}: add examples to the help of the command: {page}");
        assert!(page.contains("\\fB\\-\\-store\\fR"), "{name}: {page}");
        assert_eq!(page.matches(".TH ").count(), 1, "{name}");
        let words: Vec<&str> = name.trim_end_matches(".1").split('-').skip(2).collect();
        let alone = place.run(&[&["man"], &words[..]].concat()).ok();
        assert_eq!(alone, page, "{name}");
    }
    let said = place.run(&["man", "knn", "frobnicate"]).fails(2);
    assert_eq!(
        said,
        "error: mnem-store knn has no command \"frobnicate\"\nhint: run `mnem-store --help` to list the commands\n"
    );
}

#[test]
fn the_page_of_the_program_tells_the_exit_status() {
    let page = Place::new().run(&["man"]).ok();
    for section in [".SH \"EXIT STATUS\"", ".SH \"ENVIRONMENT\"", "MNEM_STORE", "13 needs recovery"] {
        assert!(page.contains(section), "{section}: {page}");
    }
}
