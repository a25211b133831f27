//! The backends that this program has.

use std::sync::OnceLock;

use clap::builder::{PossibleValue, PossibleValuesParser};
use mnem_storage::{BACKENDS, DRIVERS, driver::Driver};

static OURS: OnceLock<Vec<&'static dyn Driver>> = OnceLock::new();

/// Sets the drivers of this process, once.
pub(crate) fn set(drivers: impl IntoIterator<Item = &'static dyn Driver>) {
    OURS.get_or_init(|| drivers.into_iter().collect());
}

/// The drivers, in order of preference.
pub(crate) fn all() -> &'static [&'static dyn Driver] {
    OURS.get_or_init(|| DRIVERS.to_vec())
}

/// The values of `--backend`: the names of the drivers. That of a backend which this build lacks is taken too, to be refused by an error that says
/// how to get it.
pub(crate) fn names() -> PossibleValuesParser {
    let ours = all().iter().map(|driver| PossibleValue::new(driver.name()));
    let lacking = BACKENDS.iter().filter(|backend| all().iter().all(|driver| driver.name() != backend.name));
    PossibleValuesParser::new(ours.chain(lacking.map(|backend| PossibleValue::new(backend.name).hide(true))))
}

/// The values of `--format`.
pub(crate) fn formats() -> PossibleValuesParser {
    PossibleValuesParser::new(all().iter().flat_map(|driver| driver.formats().iter().copied()))
}

/// Which backend a new store gets, for `--help`: what each one is, and which places ask for it.
pub(crate) fn choice() -> String {
    let mut text = "Which backend: --backend, else the one that the place asks for, else the first:\n".to_owned();
    let width = all().iter().map(|driver| driver.name().len()).max().unwrap_or(0);
    for driver in all() {
        let name = driver.name();
        let [extension, url] = [format!(".{name}"), format!("{name}://")];
        let places = [
            (format!("store{extension}"), &*extension),
            ("store/".into(), "a slash at the end"),
            (url.clone() + "store", &*url),
        ];
        let asks: Vec<_> =
            places.iter().filter(|(place, _)| driver.suits(&place.as_str().into())).map(|(_, words)| *words).collect();
        let asks = if asks.is_empty() { String::new() } else { format!(" ({})", asks.join(", ")) };
        text += &format!("  {name:width$}  {}{asks}\n", driver.about());
    }
    text
}

/// Each driver's name and what it says of itself, in one line.
pub(crate) fn list(what: impl Fn(&dyn Driver) -> String) -> String {
    let each: Vec<_> = all().iter().map(|driver| format!("{} {}", driver.name(), what(*driver))).collect();
    each.join(", ")
}
