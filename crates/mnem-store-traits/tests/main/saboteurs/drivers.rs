//! Drivers with one flaw each. The content of their stores is in memory; the file at the path contains the format.

mod store;

use std::{fs, path::Path, time::Duration};

use mnem_store_traits::{
    StoreError,
    conformance::{DriverFixture, DriverPlace, Fixture, FixtureError, Handles, Profile},
    driver::{Driver, Entry, Location, ManagedStore, OpenOptions, Probe, RawScan},
};

use self::store::{Opened, clear, content, forget, is_held};

/// The flaw of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    NameWithSpaces,
    FormatTwice,
    ProbeMakesAFile,
    FindsAStoreEverywhere,
    DoesNotKnowItsOwn,
    HasStrays,
    NamesAnotherFormat,
    MakesTheFirstFormatOnly,
    TakesAnyFormat,
    TakesAnyFile,
    WritesOverFiles,
    MarksWhatItProbes,
    CreatesUnasked,
    TakesContradictions,
    CreateEmpties,
    CreateNewOpens,
    ReadOnlyWrites,
    ReadOnlyMarksTheFile,
    ReadOnlyTakesWhatIsThere,
    ExclusiveLetsWritersIn,
    ExclusiveBesideWriters,
    TakesUnknownOptions,
    RefusesWithoutAName,
    TakesAnyValue,
    CountsKeys,
    CountsWhatWasDeleted,
    CompactLosesHeads,
    CompactCloses,
    CompactLosesEmptyRows,
    CompactKeepsAPageOfHeads,
    CountsNoIdentityBlocks,
    TakesUnknownOptionsOfItsStores,
    HeldStoreIsForeign,
    CreatorsReplaceEachOther,
    CreateNewLooksFirst,
    TruncatedIsEmpty,
    TakesUrlsForPaths,
    ScanPassesABlockOver,
    ScanGivesOtherBytes,
    ScanMarksTheFile,
    ScanForgetsHeads,
}

#[derive(Debug)]
struct Flawed(Flaw);

const FORMATS: [&str; 2] = ["test 2", "test 1"];

/// The whole content of a store's file.
fn file_of(format: &str) -> String {
    format!("a store of format {format}\n{}end\n", "whose content is in memory\n".repeat(10))
}

impl Flawed {
    fn has(&self, flaw: Flaw) -> bool {
        self.0 == flaw
    }

    /// The format of the store at the path, or `None` if there is nothing or something else.
    fn format_at(&self, path: &Path) -> Option<&'static str> {
        let text = fs::read_to_string(path).ok()?;
        FORMATS.into_iter().find(|format| file_of(format) == text)
    }

    fn path_of<'a>(&self, at: &'a Location) -> Option<&'a Path> {
        match at {
            Location::Path(path) => Some(path),
            Location::Url(url) if self.has(Flaw::TakesUrlsForPaths) => {
                url.split_once("://").map(|(_, rest)| Path::new(rest))
            }
            Location::Url(_) => None,
        }
    }

    fn probe_file(&self, path: &Path) -> Probe {
        let text = fs::read(path).unwrap_or_default();
        if self.has(Flaw::MarksWhatItProbes) {
            let _ = fs::write(path, [&text[..], b"seen\n"].concat());
        }
        match self.format_at(path) {
            Some(_) if self.has(Flaw::HeldStoreIsForeign) && is_held(path) => Probe::Foreign("somebody has it".into()),
            _ if self.has(Flaw::DoesNotKnowItsOwn) => Probe::Foreign("it is a file".into()),
            Some(_) => Probe::Store,
            None if self.has(Flaw::TakesAnyFile) => Probe::Store,
            None if text.starts_with(b"a store of format ") => Probe::Damaged("its end is missing".into()),
            None => Probe::Foreign("it is another file".into()),
        }
    }

    fn check(&self, options: &OpenOptions) -> Result<(), StoreError> {
        let requested = options.requested();
        if !self.has(Flaw::TakesContradictions) && !self.has(Flaw::TakesAnyFormat) {
            requested.check(self)?;
        }
        let invalid = |reason: &str| StoreError::InvalidArgument { operation: "open", reason: reason.into() };
        match requested.check_names(self, self.option_names()) {
            Err(_) if self.has(Flaw::TakesUnknownOptionsOfItsStores) && !requested.may_create() => {}
            Err(_) if self.has(Flaw::TakesUnknownOptions) => {}
            Err(_) if self.has(Flaw::RefusesWithoutAName) => return Err(invalid("some option is unknown")),
            checked => checked?,
        }
        let level = requested.set.get("level").is_none_or(|value| matches!(&**value, "low" | "high"));
        if level || self.has(Flaw::TakesAnyValue) { Ok(()) } else { Err(invalid("the level is `low` or `high`")) }
    }
}

impl Driver for Flawed {
    fn name(&self) -> &'static str {
        if self.has(Flaw::NameWithSpaces) { "a driver" } else { "test" }
    }

    fn about(&self) -> &'static str {
        "a file that names a store in memory"
    }

    fn formats(&self) -> &'static [&'static str] {
        if self.has(Flaw::FormatTwice) { &["test 2", "test 2"] } else { &FORMATS }
    }

    fn option_names(&self) -> &'static [&'static str] {
        &["level"]
    }

    fn lock_wait(&self) -> Duration {
        Duration::ZERO
    }

    fn suits(&self, at: &Location) -> bool {
        at.extension().is_some_and(|extension| extension == "test")
    }

    fn probe(&self, at: &Location) -> Result<Probe, StoreError> {
        let Some(path) = self.path_of(at) else { return Ok(Probe::Foreign("it is a URL".into())) };
        Ok(match Entry::at(path, "test")? {
            Entry::Absent if self.has(Flaw::FindsAStoreEverywhere) => Probe::Store,
            Entry::Absent if self.has(Flaw::ProbeMakesAFile) => {
                let _ = fs::write(path.with_extension("probed"), "");
                Probe::Absent
            }
            Entry::Absent => Probe::Absent,
            Entry::File(_) => self.probe_file(path),
            Entry::Other(what) => Probe::Foreign(what.into()),
            _ => Probe::Foreign("it is a folder".into()),
        })
    }

    fn open(&self, at: &Location, options: &OpenOptions) -> Result<Box<dyn ManagedStore>, StoreError> {
        self.check(options)?;
        let requested = options.requested();
        let not_a_store = |reason: &str| Err(StoreError::NotAStore { location: at.clone(), reason: reason.to_owned() });
        let Some(path) = self.path_of(at) else { return not_a_store("it is a URL") };
        let may_create = requested.may_create() || self.has(Flaw::CreatesUnasked);
        match self.probe(at)? {
            Probe::Store if self.has(Flaw::CreateNewOpens) => {}
            Probe::Store => requested.check_existing(self, at)?,
            Probe::Absent if !may_create => return not_a_store("nothing is there"),
            Probe::Foreign(_) if self.has(Flaw::WritesOverFiles) && may_create && path.is_file() => forget(path),
            Probe::Foreign(why) if !self.has(Flaw::DoesNotKnowItsOwn) => return not_a_store(&why),
            Probe::Damaged(_) if self.has(Flaw::TruncatedIsEmpty) => clear(path),
            Probe::Damaged(why) => {
                let source = mnem_store_traits::Cause::new(why);
                return Err(StoreError::Damaged { component: "test".into(), what: at.to_string(), source });
            }
            Probe::Absent | Probe::Unfinished | Probe::Foreign(_) => {}
        }
        if may_create && (self.has(Flaw::CreateEmpties) || self.has(Flaw::CreatorsReplaceEachOther)) {
            clear(path);
        }
        let wished = requested.format.as_deref().and_then(|wish| FORMATS.into_iter().find(|format| *format == wish));
        if self.has(Flaw::CreateNewLooksFirst) && requested.create_new {
            // During this pause others look too, and find nothing.
            std::thread::sleep(Duration::from_millis(20));
        }
        let (state, made) = content(path, || {
            let first = self.has(Flaw::MakesTheFirstFormatOnly);
            file_of(wished.filter(|_| !first).unwrap_or(FORMATS[0]))
        });
        if !made && !self.has(Flaw::CreateNewLooksFirst) && !self.has(Flaw::CreateNewOpens) {
            requested.check_existing(self, at)?;
        }
        let format = self.format_at(path).unwrap_or(FORMATS[0]);
        if !self.has(Flaw::TakesAnyFormat) {
            requested.check_format(format, at)?;
        }
        if self.has(Flaw::ReadOnlyMarksTheFile) && requested.never_writes() {
            let _ = fs::write(path, [file_of(format).as_bytes(), b"opened\n"].concat());
        }
        Opened::open(self.0, at, state, format, requested).map(|opened| Box::new(opened) as _)
    }

    fn scan_raw(&self, at: &Location, _: &OpenOptions) -> Result<Option<Box<dyn RawScan>>, StoreError> {
        let Some(path) = at.as_path().filter(|path| self.format_at(path).is_some()) else { return Ok(None) };
        if self.has(Flaw::ScanMarksTheFile) {
            let _ = fs::write(path.with_extension("scanned"), "");
        }
        Ok(Some(Box::new(store::Scan::of(self.0, path)?)))
    }
}

macro_rules! flaws {
    ($($name:ident: $flaw:ident => $law:ident $text:literal;)*) => {
        pub(super) const KILLED: &[&str] = &[$(stringify!($law)),*];

        $(#[test]
        fn $name() {
            static SOUND: Flawed = Flawed(Flaw::None);
            static FLAWED: Flawed = Flawed(Flaw::$flaw);
            super::kills_with(stringify!($law), $text, DriverFixture::new(&SOUND), Opens(&FLAWED));
        })*
    };
}

/// Each law first opens a store of the fixture before it tests the driver. Not every flaw allows that, so this fixture
/// uses a sound driver for it.
struct Opens(&'static Flawed);

impl Fixture for Opens {
    type Place = DriverPlace;

    fn name(&self) -> &str {
        "a driver with a flaw"
    }

    fn create(&self) -> Result<Self::Place, FixtureError> {
        static SOUND: Flawed = Flawed(Flaw::None);
        DriverFixture::new(&SOUND).create()
    }

    fn open(&self, _: &Self::Place) -> Result<Handles, FixtureError> {
        Ok(std::sync::Arc::new(mnem_store_traits::MemoryStore::new()).into())
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Driver]
    }

    fn driver(&self, place: &Self::Place) -> Result<(&'static dyn Driver, Location), FixtureError> {
        static SOUND: Flawed = Flawed(Flaw::None);
        DriverFixture::new(&SOUND).driver(place).map(|(_, location)| (self.0 as _, location))
    }
}

flaws! {
    a_name_has_spaces: NameWithSpaces => driver_has_a_name_and_formats "name()";
    a_format_is_there_twice: FormatTwice => driver_has_a_name_and_formats "formats()";
    a_probe_makes_a_file: ProbeMakesAFile => probe_of_an_empty_place_is_absent "after a probe";
    a_store_is_everywhere: FindsAStoreEverywhere => probe_of_an_empty_place_is_absent "Absent";
    its_own_store_is_foreign: DoesNotKnowItsOwn => new_store_is_recognised "Store";
    a_held_store_is_foreign: HeldStoreIsForeign => new_store_is_recognised "open exclusively";
    a_new_store_has_strays: HasStrays => new_store_is_recognised "strays()";
    another_format_is_named: NamesAnotherFormat => new_store_is_recognised "format() of a new store";
    the_first_format_is_made: MakesTheFirstFormatOnly => every_format_can_be_made "test 1";
    any_format_is_taken: TakesAnyFormat => every_format_can_be_made "as test";
    any_file_is_a_store: TakesAnyFile => probe_leaves_foreign_things_alone "probe of a text file";
    files_are_written_over: WritesOverFiles => probe_leaves_foreign_things_alone "with create";
    what_is_probed_is_marked: MarksWhatItProbes => probe_leaves_foreign_things_alone "after a probe";
    stores_are_made_unasked: CreatesUnasked => missing_store_is_not_made_unless_asked "NotAStore";
    contradictions_are_taken: TakesContradictions => missing_store_is_not_made_unless_asked "InvalidArgument";
    create_empties_a_store: CreateEmpties => create_keeps_the_store_that_is_there "after it was opened with create";
    create_new_opens_a_store: CreateNewOpens => create_keeps_the_store_that_is_there "create_new";
    a_read_only_store_is_written_to: ReadOnlyWrites => read_only_store_refuses_writes "ReadOnly";
    a_read_only_store_takes_what_is_there: ReadOnlyTakesWhatIsThere => read_only_store_refuses_writes "put of a present block";
    a_read_only_store_is_marked: ReadOnlyMarksTheFile => read_only_store_refuses_writes "its files as they were";
    an_exclusive_store_has_writers: ExclusiveLetsWritersIn => exclusive_store_has_no_other_writer "after another wrote";
    a_writer_has_an_exclusive_handle_beside: ExclusiveBesideWriters => exclusive_store_has_no_other_writer "beside a writer";
    unknown_options_are_taken: TakesUnknownOptions => unknown_options_are_refused "no_such_option";
    unknown_options_of_its_stores_are_taken: TakesUnknownOptionsOfItsStores => unknown_options_are_refused "open an existing store";
    unknown_options_are_not_named: RefusesWithoutAName => unknown_options_are_refused "an error that names it";
    any_value_is_taken: TakesAnyValue => unknown_options_are_refused "`level`";
    keys_are_counted_as_bytes: CountsKeys => info_counts_what_is_there "40 blocks";
    identity_blocks_are_not_counted: CountsNoIdentityBlocks => info_counts_what_is_there "40 blocks";
    deleted_blocks_are_counted: CountsWhatWasDeleted => info_counts_what_is_there "were deleted";
    compact_loses_heads: CompactLosesHeads => compact_changes_no_content "heads() after compact()";
    compact_loses_empty_rows: CompactLosesEmptyRows => compact_changes_no_content "keys() after compact()";
    compact_keeps_a_page_of_heads: CompactKeepsAPageOfHeads => compact_changes_no_content "heads() after compact()";
    compact_closes_the_store: CompactCloses => compact_changes_no_content "after compact()";
    creators_replace_each_other: CreatorsReplaceEachOther => creators_at_once_make_one_store "after six creators";
    all_creators_made_it: CreateNewLooksFirst => one_creator_of_a_new_store_made_it "of four at once";
    a_url_is_a_path: TakesUrlsForPaths => url_of_nobody_is_foreign "probe of a URL";
    a_scan_passes_a_block_over: ScanPassesABlockOver => raw_scan_finds_what_is_there "no such block";
    a_scan_gives_other_bytes: ScanGivesOtherBytes => raw_scan_finds_what_is_there "other bytes";
    a_scan_marks_the_file: ScanMarksTheFile => raw_scan_finds_what_is_there "after a raw scan";
    a_scan_forgets_heads: ScanForgetsHeads => raw_scan_finds_what_is_there "no such head";
    a_truncated_store_is_empty: TruncatedIsEmpty => truncated_store_is_no_empty_store "was cut to";
}

#[test]
fn a_second_handle_is_declared_where_the_driver_allows_one() {
    static SOUND: Flawed = Flawed(Flaw::None);
    let profiles = |options| DriverFixture::new(&SOUND).options(options).profiles().to_vec();
    assert_eq!(profiles(OpenOptions::new()), [Profile::Persistence, Profile::SecondHandle, Profile::Driver]);
    assert_eq!(profiles(OpenOptions::new().exclusive(true)), [Profile::Persistence, Profile::Driver]);
}

/// Nothing is left in the folder for temporary files.
#[test]
fn places_go_with_their_laws() {
    static SOUND: Flawed = Flawed(Flaw::None);
    let fixture = DriverFixture::new(&SOUND);
    let place = fixture.create().expect("a place");
    let (_, location) = fixture.driver(&place).expect("a driver");
    let folder = location.as_path().and_then(Path::parent).expect("a folder").to_owned();
    assert!(folder.is_dir());
    drop(place);
    assert!(!folder.exists());
}
