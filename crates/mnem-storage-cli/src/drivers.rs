//! The backends of this program.

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

/// The values of `--backend`: the names of the drivers. The name of a backend that is not compiled in parses too, so
/// that opening fails with an error that names its Cargo feature.
pub(crate) fn names() -> PossibleValuesParser {
    let ours = all().iter().map(|driver| PossibleValue::new(driver.name()));
    let lacking = BACKENDS.iter().filter(|backend| all().iter().all(|driver| driver.name() != backend.name));
    PossibleValuesParser::new(ours.chain(lacking.map(|backend| PossibleValue::new(backend.name).hide(true))))
}

/// The values of `--format`.
pub(crate) fn formats() -> PossibleValuesParser {
    PossibleValuesParser::new(all().iter().flat_map(|driver| driver.formats().iter().copied()))
}

/// The longest list of paths and URLs that stands on the line of its backend.
const LIST_MAX: usize = 40;

/// How the backend of a new store is chosen, for `--help`: each backend, with the paths that select it.
pub(crate) fn choice() -> String {
    let mut text = "\
Without --backend, the path selects the backend; if it matches none, the store gets the
first one of this list.

Backends:
"
    .to_owned();
    let width = all().iter().map(|driver| driver.name().len()).max().unwrap_or(0);
    for driver in all() {
        let name = driver.name();
        let places = [(format!("store.{name}"), format!(".{name}")), ("store/".into(), "trailing slash".into())];
        let places = places.into_iter().chain(driver.schemes().iter().map(|scheme| {
            let url = format!("{scheme}://");
            (format!("{url}store"), url)
        }));
        let asks: Vec<_> =
            places.filter(|(place, _)| driver.suits(&place.as_str().into())).map(|(_, words)| words).collect();
        let asks = if asks.is_empty() { String::new() } else { format!(" ({})", asks.join(", ")) };
        // A long list of URLs has a line of its own.
        let gap = if asks.len() > LIST_MAX { format!("\n{:1$}", "", width + 3) } else { String::new() };
        text += &format!("  {name:width$}  {}{gap}{asks}\n", driver.about());
    }
    text
}

/// A list of each driver's name with `what`, on one line.
pub(crate) fn list(what: impl Fn(&dyn Driver) -> String) -> String {
    let each: Vec<_> = all().iter().map(|driver| format!("{} {}", driver.name(), what(*driver))).collect();
    each.join(", ")
}
