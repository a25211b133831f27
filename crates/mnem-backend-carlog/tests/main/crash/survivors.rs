//! What a power cut leaves: everything synced, and any part of the rest, in whole sectors.

use std::{collections::BTreeMap, path::PathBuf};

use mnem_crash_tests::Chance;

use super::disk::{Event, write};

/// A store's folder as a power cut leaves it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(crate) files: Vec<Vec<u8>>,
    pub(crate) names: BTreeMap<PathBuf, usize>,
    /// If `false`, the names are lost too.
    pub(crate) has_folder: bool,
}

/// The number of bytes that a disk writes atomically.
const SECTOR: usize = 512;

/// The number of outcomes that are tried at each cut with unsynced changes.
const WAYS: usize = 10;

/// A recording, and what is synced at each cut.
pub(crate) struct Cuts {
    start: Image,
    log: Vec<Event>,
    /// For each cut, whether there are unsynced changes.
    undecided: Vec<bool>,
    at: usize,
    durable: Durable,
}

/// What is durable, and what is still unsynced.
#[derive(Clone, Default)]
struct Durable {
    image: Image,
    /// Unsynced writes and changes of length, in order.
    writes: Vec<Event>,
    /// Unsynced changes of names, in order.
    names: Vec<Vec<(PathBuf, Option<usize>)>>,
    /// The folder was created, and its parent is not synced yet.
    made_folder: bool,
}

/// The outcome for unsynced changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Nothing,
    Everything,
    /// Only the first changes are kept.
    Prefix,
    AllButOne,
    OnlyOne,
    Any,
}

impl Way {
    fn of(way: usize, chance: &mut Chance) -> Self {
        match way {
            0 => Self::Nothing,
            1 => Self::Everything,
            _ => [Self::Prefix, Self::AllButOne, Self::OnlyOne, Self::Any][chance.below(4)],
        }
    }

    /// For each of `count` changes, whether it is kept.
    fn kept(self, count: usize, chance: &mut Chance) -> Vec<bool> {
        let one = chance.below(count.max(1));
        let is_kept = |at: usize, chance: &mut Chance| match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Prefix => at < one,
            Self::AllButOne => at != one,
            Self::OnlyOne => at == one,
            Self::Any => chance.one_in(2),
        };
        (0..count).map(|at| is_kept(at, chance)).collect()
    }
}

impl Durable {
    fn of(image: &Image) -> Self {
        Self { image: image.clone(), ..Self::default() }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Made(file) => self.image.files.resize(self.image.files.len().max(file + 1), Vec::new()),
            Event::Write(..) | Event::SetLen(..) => self.writes.push(event.clone()),
            Event::Names(names) => self.names.push(names.clone()),
            Event::Sync(file) => {
                let image = &mut self.image;
                self.writes.iter().filter(|event| is_of(event, *file)).for_each(|event| change(image, event));
                self.writes.retain(|event| !is_of(event, *file));
            }
            Event::SyncNames => {
                let image = &mut self.image;
                self.names.drain(..).for_each(|names| rename(image, &names));
            }
            Event::MadeFolder => self.made_folder = true,
            Event::SyncParent => self.image.has_folder |= std::mem::take(&mut self.made_folder),
            Event::LostWrites(file) => self.writes.retain(|event| !is_of(event, *file)),
            Event::LostNames => self.names.clear(),
        }
    }

    fn is_decided(&self) -> bool {
        self.writes.is_empty() && self.names.is_empty() && !self.made_folder
    }
}

/// Whether the event changes the bytes or the length of this file.
fn is_of(event: &Event, file: usize) -> bool {
    matches!(event, Event::Write(of, ..) | Event::SetLen(of, _) if *of == file)
}

fn change(image: &mut Image, event: &Event) {
    match event {
        Event::Write(file, offset, bytes) => write(&mut image.files[*file], *offset, bytes),
        Event::SetLen(file, bytes) => image.files[*file].resize(*bytes as usize, 0),
        _ => {}
    }
}

fn rename(image: &mut Image, names: &[(PathBuf, Option<usize>)]) {
    for (name, file) in names {
        match file {
            Some(file) => image.names.insert(name.clone(), *file),
            None => image.names.remove(name),
        };
    }
}

/// Applies a write of which some sectors are lost. A lost sector that had been written before keeps its old bytes,
/// because a disk writes a sector completely or not at all. A lost new sector holds zeros or arbitrary old data.
fn torn(image: &mut Image, event: &Event, chance: &mut Chance) {
    let Event::Write(file, offset, bytes) = event else { return change(image, event) };
    let before = image.files[*file].clone();
    change(image, event);
    let now = &mut image.files[*file];
    let (start, end) = (*offset as usize, *offset as usize + bytes.len());
    for sector in start / SECTOR..=end.saturating_sub(1) / SECTOR {
        if chance.one_in(2) {
            let garbage = if chance.one_in(2) { 0xa5 } else { 0 };
            let part = (sector * SECTOR).max(start)..((sector + 1) * SECTOR).min(end);
            for (at, byte) in part.clone().zip(&mut now[part]) {
                *byte = before.get(at).copied().unwrap_or(garbage);
            }
        }
    }
    // The file may not have grown to its full length either.
    if chance.one_in(4) && before.len() < now.len() {
        let len = before.len() + chance.below(now.len() - before.len());
        now.truncate(len);
    }
}

impl Cuts {
    pub(crate) fn new(start: Image, log: Vec<Event>) -> Self {
        let mut now = Durable::of(&start);
        let mut undecided = vec![false];
        for event in &log {
            now.apply(event);
            undecided.push(!now.is_decided());
        }
        Self { durable: Durable::of(&start), start, log, undecided, at: 0 }
    }
}

impl mnem_crash_tests::Cuts for Cuts {
    type Image = Image;

    fn entries(&self) -> usize {
        self.log.len()
    }

    fn ways(&self, cut: usize) -> usize {
        if self.undecided[cut] { WAYS } else { 1 }
    }

    fn image(&mut self, cut: usize, way: usize, chance: &mut Chance) -> (Image, u64) {
        if cut < self.at {
            (self.at, self.durable) = (0, Durable::of(&self.start));
        }
        self.log[self.at..cut].iter().for_each(|event| self.durable.apply(event));
        self.at = cut;
        let mut image = self.durable.image.clone();
        let way = Way::of(way, chance);
        for (names, kept) in self.durable.names.iter().zip(way.kept(self.durable.names.len(), chance)) {
            if kept {
                rename(&mut image, names);
            }
        }
        for (event, kept) in self.durable.writes.iter().zip(way.kept(self.durable.writes.len(), chance)) {
            if kept && (way == Way::Everything || chance.one_in(2)) {
                change(&mut image, event);
            } else if kept || way == Way::Any {
                torn(&mut image, event, chance);
            }
        }
        if self.durable.made_folder {
            image.has_folder = way.kept(1, chance)[0];
        }
        if !image.has_folder {
            image.names.clear();
        }
        let mark = hash(&image);
        (image, mark)
    }
}

fn hash(image: &Image) -> u64 {
    let mix = |sum: u64, byte: u8| sum.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte);
    image.names.iter().fold(u64::from(image.has_folder), |sum, (name, file)| {
        let name = name.as_os_str().as_encoded_bytes().iter();
        let sum = name.chain(&image.files[*file]).fold(sum, |sum, byte| mix(sum, *byte));
        mix(sum, 0xff)
    })
}
