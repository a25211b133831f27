//! Heads and commits.

use std::{collections::BTreeSet, sync::Arc};

use mnem_store_traits::{
    BatchPut, Cid, Durability, HeadChange, HeadsCapabilities, OpHeadsStore, SideTable, Store, StoreError, WriteBatch,
    backend::{check_block, check_size, check_table_name},
    cid::Version,
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

use crate::saboteurs::lock;

use super::{Content, Flaw, Handle, blocks::begin_alike, lose_the_race, tables::Table};

impl Handle {
    fn change(&self, operation: &'static str, change: &HeadChange) -> Result<(), StoreError> {
        lock(&self.0.memory).heads.clear();
        let mut content = self.write(operation)?;
        if let HeadChange::Swap { expected, new } = change
            && self.has(Flaw::SwapClearsFirst)
            && expected.len() > 1
            && new.iter().all(|new| expected.contains(new))
        {
            let after = change.apply(&content.heads)?;
            content.heads.clear();
            drop(content);
            lose_the_race();
            self.write(operation)?.heads = after;
            return Ok(());
        }
        self.apply(&mut content, change)
    }

    fn apply(&self, content: &mut Content, change: &HeadChange) -> Result<(), StoreError> {
        let mut change = change.clone();
        if self.has(Flaw::DigestsOfHeadsAreCut) {
            let (HeadChange::Update { new, supersedes: others } | HeadChange::Swap { new, expected: others }) =
                &mut change;
            for cid in new.iter_mut().chain(others) {
                *cid = content.heads.iter().find(|head| begin_alike(head, cid, 32)).copied().unwrap_or(*cid);
            }
        }
        let after = match &change {
            HeadChange::Swap { expected, new }
                if self.has(Flaw::SwapCounts)
                    && expected.len() >= content.heads.len()
                    && expected.iter().all(|cid| content.heads.contains(cid)) =>
            {
                new.iter().copied().collect()
            }
            change => change.apply(&content.heads)?,
        };
        let mut after = after;
        if let HeadChange::Update { new, supersedes } = &change
            && self.has(Flaw::NamedLateGoes)
            && supersedes.iter().position(|cid| *cid == new[0]).is_some_and(|place| place > 256)
        {
            after.remove(&new[0]);
        }
        let mut gone: BTreeSet<Cid> = content.heads.difference(&after).copied().collect();
        content.superseded.append(&mut gone);
        content.heads = after;
        Ok(())
    }

    /// A commit with several heads that leaves out those that were superseded.
    fn without_superseded(&self, content: &Content, change: &HeadChange) -> HeadChange {
        let is_back = |cid: &Cid| content.superseded.contains(cid) && !content.heads.contains(cid);
        match change {
            HeadChange::Update { new, supersedes } if self.has(Flaw::SupersededStayGone) && new.len() > 1 => {
                let mut kept: Vec<Cid> = new.iter().filter(|cid| !is_back(cid)).copied().collect();
                if kept.is_empty() {
                    kept.push(new[0]);
                }
                HeadChange::Update { new: kept, supersedes: supersedes.clone() }
            }
            change => change.clone(),
        }
    }

    fn is_met(&self, content: &Content, required: &Cid) -> bool {
        let other = match required.version() {
            Version::V0 => Some(Cid::new_v1(0x70, *required.hash())),
            Version::V1 if required.codec() == 0x70 => Cid::new_v0(*required.hash()).ok(),
            Version::V1 => None,
        };
        let by_other = self.has(Flaw::RequirementOfAnyVersion);
        content.blocks.contains_key(&self.key(required))
            || (by_other && other.is_some_and(|other| content.blocks.contains_key(&other)))
    }

    fn check(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        if self.has(Flaw::SparesSizesInBetween) && batch.puts().len() > 2 {
            let is_large = |put: &BatchPut| put.data.len() as u64 > BLOCK_BYTES_EVERY_BACKEND;
            let mut seen = WriteBatch::new();
            seen.extend(batch.puts().iter().filter(|put| !is_large(put)).cloned());
            return seen.check(BLOCK_BYTES_EVERY_BACKEND);
        }
        if !self.has(Flaw::NoBytesAreTrusted) {
            let first = batch.puts().first().map(|put| put.cid);
            return batch.check(BLOCK_BYTES_EVERY_BACKEND).map_err(|error| self.told(error, first));
        }
        batch.head().map_or(Ok(()), HeadChange::check)?;
        batch.puts().iter().try_for_each(|put| {
            check_size(&put.cid, &put.data, BLOCK_BYTES_EVERY_BACKEND)?;
            if put.trusted || put.data.is_empty() { Ok(()) } else { check_block(&put.cid, &put.data) }
        })
    }
}

impl OpHeadsStore for Handle {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        let heads: Vec<Cid> = self.read("read heads")?.heads.iter().copied().collect();
        if !self.has(Flaw::CountsHeads) {
            return Ok(heads);
        }
        let known = &mut lock(&self.0.memory).heads;
        if known.len() != heads.len() || known.last() != heads.last() {
            *known = heads;
        }
        Ok(known.clone())
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.change("update", &HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.change("swap", &HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] })
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(Durability::Process).with_atomic_heads(true)
    }
}

impl Store for Handle {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.check(batch)?;
        let mut content = self.write("commit")?;
        if self.has(Flaw::RequirementsAloneAreMet) && batch.puts().is_empty() && batch.head().is_none() {
            return Ok(());
        }
        let looked_at = if self.has(Flaw::FewPutsMeetRequirements) { 512 } else { usize::MAX };
        let own: BTreeSet<Cid> = batch.puts().iter().take(looked_at).map(|put| put.cid).collect();
        let n = batch.required().len();
        let spared = if self.has(Flaw::SparesRequirementsInBetween) && n >= 1000 { 100..n - 100 } else { 0..0 };
        let looked_up = batch.required().iter().enumerate().filter(|(i, _)| !spared.contains(i)).map(|(_, cid)| cid);
        let absent = looked_up.into_iter().find(|cid| !own.contains(cid) && !self.is_met(&content, cid));
        let puts = batch.puts().iter().map(|put| (put.cid, put.data.clone()));
        let memory = &mut *lock(&self.0.memory);
        if let Some(cid) = absent {
            if self.has(Flaw::RefusedPutsStay) {
                memory.refused.extend(puts);
            }
            return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
        }
        if let Some(change) = batch.head() {
            let change = self.without_superseded(&content, change);
            self.apply(&mut content, &change)?;
        }
        memory.heads.clear();
        memory.presence.1.clear();
        puts.chain(memory.refused.drain(..)).for_each(|(cid, data)| self.insert(&mut content, &cid, data));
        Ok(())
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        check_table_name(name)?;
        drop(self.read("open a side table")?);
        lock(&self.0.memory).used_rows = true;
        Ok(Arc::new(Table { store: self.clone(), name: name.to_owned() }))
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        let content = self.read("list side tables")?;
        let mut names: BTreeSet<String> = content.tables.keys().chain(&content.ghosts).cloned().collect();
        if self.has(Flaw::CountsAbsentRows) || self.has(Flaw::CountsRowsTwice) {
            names = content.counts.iter().filter(|(_, count)| **count > 0).map(|(name, _)| name.clone()).collect();
        }
        let names: Vec<String> = names.into_iter().collect();
        if !self.has(Flaw::CountsTables) {
            return Ok(names);
        }
        let known = &mut lock(&self.0.memory).tables;
        if known.len() != names.len() {
            *known = names;
        }
        Ok(known.clone())
    }

    fn close(&self) -> Result<(), StoreError> {
        Self::close(self);
        Ok(())
    }
}
