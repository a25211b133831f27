//! What a power cut leaves: what was synced, and of the rest any part, in sectors.

use std::{collections::BTreeMap, path::PathBuf};

use mnem_crash_tests::Chance;

use super::disk::{Event, write};

/// The folder of a store as a power cut leaves it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(crate) files: Vec<Vec<u8>>,
    pub(crate) names: BTreeMap<PathBuf, usize>,
    /// Without it there are no names.
    pub(crate) has_folder: bool,
}

/// Bytes that a disk writes in one step.
const SECTOR: usize = 512;

/// Ways that are worth trying at each cut where something is not synced.
const WAYS: usize = 10;

/// A recording, and what of it is synced at one cut.
pub(crate) struct Cuts {
    start: Image,
    log: Vec<Event>,
    /// Of each cut, whether something is not synced then.
    undecided: Vec<bool>,
    at: usize,
    durable: Durable,
}

/// What is durable, and what is not yet.
#[derive(Clone, Default)]
struct Durable {
    image: Image,
    /// Writes and changes of length, in their order.
    writes: Vec<Event>,
    /// Changes of names, in their order.
    names: Vec<Vec<(PathBuf, Option<usize>)>>,
    /// The folder was made, and its parent not synced.
    made_folder: bool,
}

/// How what was not synced turns out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Nothing,
    Everything,
    /// The first changes alone.
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

    /// Which of so many changes are there.
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

/// Whether it changes the bytes or the length of this file.
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

/// A write of which some sectors did not get there. One that had been written before holds its old bytes: disks write a sector or leave it.
/// A new one holds zeros, or whatever lay on the disk.
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
    // The file may not have grown as far either.
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
