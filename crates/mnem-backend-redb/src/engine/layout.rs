//! Recognises which layout a redb file has, if it is a store at all.

use std::collections::BTreeSet;

use mnem_store_traits::{Outcome, StoreError};
use redb::{Database, ReadTransaction, ReadableDatabase as _, TableError, TableHandle as _};

use crate::{
    Check, Layout, OpenOptions,
    engine::{
        file::OpenFile,
        medium::{Medium, Seam},
        session::Session,
    },
    error::{At, contain},
    handle::Handle,
    tables::{FORMAT_NAME, FORMAT_VERSION, META, META_FORMAT},
};

/// Turns a session into a handle, if its file is a store. Only then do staged changes reach the medium, so a refused
/// file stays unchanged. In a file that had been closed they wait for the first write.
pub(crate) fn recognise(at: At<'_>, options: &OpenOptions, session: Session) -> Result<Handle, StoreError> {
    let was_closed = session.was_closed;
    // The layout is not known yet; the handle reads without it.
    let mut handle = Handle::new(OpenFile::new(at.path.to_owned(), Layout::Native, options.clone(), session));
    handle.file_mut().layout = match handle.reader().read(at.operation, |snapshot| layout_of(at, &snapshot.transaction))
    {
        // A table, or the row that identifies the store, cannot be read. The reads that need it will report that.
        Err(StoreError::Damaged { .. } | StoreError::NotAStore { .. } | StoreError::UnsupportedFormat { .. })
            if options.check == Check::AsItIs =>
        {
            handle.reader().read(at.operation, |snapshot| layout_by_names(at, &snapshot.transaction))?
        }
        layout => layout?,
    };
    // The content of an unclean file may not be durable, and must be before anyone reads it.
    if !options.read_only && !was_closed {
        handle.file().release(at.operation)?;
    }
    Ok(handle)
}

/// Refuses a file that is not a store, or has a later format, before it is opened for writing beside other processes.
/// All other problems are left to the open.
pub(crate) fn peek(at: At<'_>, options: &OpenOptions, medium: Medium) -> Result<(), StoreError> {
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes).set_concurrency_mode(crate::options::mode(options.sharing));
    let seam = Seam::direct(medium, false);
    let looked = contain(|| {
        let Ok(database) = builder.open_read_only_with_backend(seam.clone()) else { return Ok(()) };
        let found = match database.begin_read() {
            Ok(transaction) => layout_of(at, &transaction).map(|_| ()),
            Err(_) => Ok(()),
        };
        let _ = database.close();
        found
    });
    match looked {
        Ok(Err(error @ (StoreError::NotAStore { .. } | StoreError::UnsupportedFormat { .. }))) => Err(error),
        Ok(_) => Ok(()),
        Err(_) => seam.shut().map_err(|error| at.failed(Outcome::NotApplied, error)),
    }
}

/// The layout of the tables in this snapshot.
fn layout_of(at: At<'_>, transaction: &ReadTransaction) -> Result<Layout, StoreError> {
    let names = transaction.list_tables().map_err(|error| at.redb(error))?;
    let names: BTreeSet<String> = names.map(|table| table.name().to_owned()).collect();
    let layout = if names.contains(META.name()) && format_is_ours(at, transaction)? {
        Layout::Native
    } else if names.contains(Layout::Mnem01.objects().name()) && names.contains(Layout::Mnem01.op_heads().name()) {
        Layout::Mnem01
    } else {
        return Err(at.not_a_store(foreign(&names)));
    };
    if let Some(missing) =
        [layout.objects().name(), layout.op_heads().name()].iter().find(|&&name| !names.contains(name))
    {
        return Err(at.damaged(format!("table {missing} is missing")));
    }
    let objects = transaction.open_table(layout.objects()).map(|_| ());
    let types = objects.and_then(|()| transaction.open_table(layout.op_heads()).map(|_| ()));
    types.map_err(|error| wrong_types(at, error))?;
    Ok(layout)
}

/// The layout whose table names exist in this snapshot. Does not look at the format.
fn layout_by_names(at: At<'_>, transaction: &ReadTransaction) -> Result<Layout, StoreError> {
    let names = transaction.list_tables().map_err(|error| at.redb(error))?;
    let names: BTreeSet<String> = names.map(|table| table.name().to_owned()).collect();
    let layouts = [Layout::Native, Layout::Mnem01];
    let known = layouts.into_iter().find(|layout| names.contains(layout.objects().name()));
    known.ok_or_else(|| at.damaged("the table of blocks is missing"))
}

/// Whether the format row identifies a store. `false` if the table belongs to another program.
fn format_is_ours(at: At<'_>, transaction: &ReadTransaction) -> Result<bool, StoreError> {
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(at.redb(error)),
        Err(_) => return Ok(false),
    };
    let Some(format) = meta.get(META_FORMAT).map_err(|error| at.redb(error))? else { return Ok(false) };
    let format = String::from_utf8_lossy(format.value());
    match format.strip_prefix(FORMAT_NAME).and_then(|rest| rest.strip_prefix(' ')) {
        None => Ok(false),
        Some(FORMAT_VERSION) => Ok(true),
        Some(_) => Err(StoreError::UnsupportedFormat {
            found: format.into_owned(),
            supported: format!("{FORMAT_NAME} {FORMAT_VERSION}"),
        }),
    }
}

fn wrong_types(at: At<'_>, error: TableError) -> StoreError {
    match error {
        TableError::Storage(error) => at.redb(error),
        error => at.not_a_store(format!("it is a redb file with other tables: {error}")),
    }
}

fn foreign(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "it is a redb file without tables; give another path".into();
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!("it is a redb file of another program, with the tables {}; give another path", names.join(", "))
}
