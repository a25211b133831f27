//! The requests of a law to a second process, as text.

use std::fmt::Write as _;

use super::{
    Failure, Handles, Profile,
    case::offered,
    data::{block, head},
    expect::{holds, lacks, put, saw, update},
    show::Show,
};

/// Executes the requests of a law in a second process, and returns the answers. For
/// [`Fixture::obey_in_second_process`](super::Fixture::obey_in_second_process).
///
/// The script has one request per line, and the result one answer per line. Closes the store at the end. Does not
/// panic.
pub fn obey(handles: &Handles, script: &str) -> String {
    let mut answer = String::new();
    for request in script.lines() {
        let line = match obey_one(handles, request) {
            Ok(line) => line,
            Err(failure) => format!("{request}: {failure}").replace('\n', ";"),
        };
        let _ = writeln!(answer, "{line}");
    }
    if let Some(store) = handles.as_store()
        && let Err(error) = store.close()
    {
        let _ = writeln!(answer, "close: {error}");
    }
    answer
}

fn obey_one(handles: &Handles, request: &str) -> Result<String, Failure> {
    const WHEN: &str = "in a second process";
    let blocks = || offered(handles.as_blocks(), Profile::Blocks);
    let heads = || offered(handles.as_heads(), Profile::Heads);
    let (verb, rest) = request.split_once(' ').unwrap_or((request, ""));
    match verb {
        "put" => put(&*blocks()?, &block(rest))?,
        "delete" => saw("delete", blocks()?.delete(&block(rest).cid)).ok()?,
        "holds" => holds(&*blocks()?, &block(rest), WHEN)?,
        "lacks" => lacks(&*blocks()?, &block(rest).cid, WHEN)?,
        "update" => {
            let mut names = rest.split(' ').filter(|name| !name.is_empty()).map(head);
            let new = names.next().unwrap_or_else(|| head(""));
            update(&*heads()?, &new, &names.collect::<Vec<_>>())?;
        }
        "heads" => return Ok(saw("heads()", heads()?.heads()).ok()?.show()),
        _ => return Err(Failure::new("read the script of a law", "a request that is known", verb)),
    }
    Ok("ok".into())
}
