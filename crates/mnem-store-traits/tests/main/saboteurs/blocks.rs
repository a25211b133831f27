//! Defects of puts.

use std::{collections::BTreeSet, sync::Mutex};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Cid, MemoryStore, Store, StoreError, WriteBatch, backend::check_block,
    conformance::Verdict, supported_hashes,
};

use super::{Defect, Planted, defect, law, lock, saboteurs};

saboteurs! {
    knows_no_blake3: KnowsNoBlake3 => put_takes_every_supported_hash "Err(UnsupportedHash";
    trusts_the_size_too: TrustsTheSizeToo => block_above_the_limit_is_refused "put_trusted of a block above";
    loses_trusted_puts: LosesTrustedPuts => put_trusted_stores_the_block "after put_trusted";
    loses_trusted_puts_of_unknown_hashes: LosesTrustedPuts => put_trusted_keeps_unknown_hashes "after put_trusted under a hash function";
    buries_what_it_deletes: BuriesWhatItDeletes => deleted_block_can_be_put_again "after put number 1";
    one_name_for_each_content: OneNameForEachContent => hash_function_is_part_of_the_key "equal but for the hash function";
    second_put_appends: SecondPutAppends => put_twice_is_ok "after two";
    second_put_empties: SecondPutEmpties => put_twice_is_ok "after two";
    loses_every_ninth_put: LosesEveryNinth => random_block_operations_agree_with_a_model "of which these fail by themselves";
    replaces_before_it_checks: ReplacesBeforeItChecks => put_of_wrong_bytes_leaves_the_present_block "after wrong bytes for it were refused";
    checks_as_much_as_there_is: ChecksPrefix => put_rejects_truncated_digest "Ok: the call was accepted";
    decodes_what_it_stores: DecodesWhatItStores => put_does_not_check_the_codec "Err(Malformed";
    accepts_wrong_bytes: AcceptsWrongBytes => put_rejects_wrong_bytes "Ok: the call was accepted";
    keeps_what_it_refuses: KeepsWhatItRefuses => put_rejects_wrong_bytes "after a refused put of bytes that hash to another CID";
    trusts_sha2_512: TrustsSha512 => put_checks_every_supported_hash "put of wrong bytes for sha2-512";
    batch_trusts_sha2_512: BatchTrustsSha512 => put_checks_every_supported_hash "put_many of wrong bytes for sha2-512";
    takes_cut_sha2_512: TakesCutSha512 => put_rejects_truncated_digest "their sha2-512 digest cut";
    takes_sha2_512_and_drops_it: DropsSha512 => put_takes_every_supported_hash "after its put";
    checks_sha2_256_only: ChecksSha2Only => put_checks_every_supported_hash "wrong bytes for blake3";
    trusts_unknown_hashes: TrustsUnknownHashes => put_rejects_unsupported_hash "Err(UnsupportedHash)";
    second_put_fails: SecondPutFails => put_twice_is_ok "already there";
    drops_empty_blocks: DropsEmptyBlocks => empty_block_is_a_block "after the put of a block of 0 bytes";
    size_limit_below_16_mib: SmallLimit => block_of_16_mib_is_taken "Err(BlockTooLarge";
}

const SHA2_512: u64 = 0x13;

/// Refuses hash functions that are not in every build.
fn known_to_all(cid: &Cid) -> Result<(), StoreError> {
    let (code, digest_bytes) = (cid.hash().code(), cid.hash().size());
    match supported_hashes().iter().find(|function| function.code() == code) {
        Some(function) if !function.is_in_every_build() => {
            Err(StoreError::UnsupportedHash { cid: *cid, code, digest_bytes })
        }
        _ => Ok(()),
    }
}

/// A store need not support functions of this build that are not in every build.
#[test]
fn a_store_that_knows_the_three_functions_alone_breaks_no_law() {
    for id in [
        "put_checks_every_supported_hash",
        "put_rejects_unsupported_hash",
        "put_rejects_truncated_digest",
        "put_takes_every_supported_hash",
        "get_never_returns_wrong_bytes",
        "commit_checks_every_supported_hash",
    ] {
        let verdict = law(id).expect("a law").run(Planted::<KnowsThreeFunctions>::WIDENED);
        assert!(matches!(verdict, Verdict::Passed), "{id}: {verdict:?}");
    }
}

defect! {
    KnowsNoBlake3 {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            let (code, digest_bytes) = (cid.hash().code(), cid.hash().size());
            if code == 0x1e {
                return Err(StoreError::UnsupportedHash { cid: *cid, code, digest_bytes });
            }
            inner.put(cid, data)
        }
    }

    TrustsTheSizeToo {
        fn put_trusted(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            match inner.put_trusted(cid, data) {
                Err(StoreError::BlockTooLarge { .. }) => Ok(()),
                result => result,
            }
        }
    }

    LosesTrustedPuts {
        fn put_trusted(&self, _: &MemoryStore, _: &Cid, _: Bytes) -> Result<(), StoreError> {
            Ok(())
        }
    }

    OneNameForEachContent {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            for other in inner.cids()? {
                if inner.get(&other?)?.as_ref() == Some(&data) {
                    return check_block(cid, &data);
                }
            }
            inner.put(cid, data)
        }
    }

    SecondPutAppends {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            check_block(cid, &data)?;
            let before = inner.get(cid)?.unwrap_or_default();
            inner.delete(cid)?;
            inner.put_trusted(cid, [before, data].concat().into())
        }
    }

    SecondPutEmpties {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            check_block(cid, &data)?;
            let data = if inner.has(cid)? { Bytes::new() } else { data };
            inner.delete(cid)?;
            inner.put_trusted(cid, data)
        }
    }

    AcceptsWrongBytes {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            inner.put_trusted(cid, data)
        }
    }

    KeepsWhatItRefuses {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            inner.put_trusted(cid, data.clone())?;
            inner.put(cid, data)
        }
    }

    ReplacesBeforeItChecks {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            inner.delete(cid)?;
            inner.put(cid, data)
        }
    }

    ChecksPrefix {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            let whole = mnem_store_traits::cid_of(cid.codec(), &data);
            let (hash, whole) = (cid.hash(), whole.hash());
            if hash.code() == whole.code() && whole.digest().starts_with(hash.digest()) {
                return inner.put_trusted(cid, data);
            }
            inner.put(cid, data)
        }
    }

    DecodesWhatItStores {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            mnem_store_traits::links(cid, &data)?;
            inner.put(cid, data)
        }
    }

    ChecksSha2Only {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            if cid.hash().code() == 0x12 { inner.put(cid, data) } else { inner.put_trusted(cid, data) }
        }
    }

    TrustsSha512 {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            if cid.hash().code() == SHA2_512 { inner.put_trusted(cid, data) } else { inner.put(cid, data) }
        }
    }

    BatchTrustsSha512 {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            for block in blocks {
                let (cid, data) = block?;
                if cid.hash().code() == SHA2_512 {
                    inner.put_trusted(&cid, data)?;
                } else {
                    inner.put(&cid, data)?;
                }
            }
            Ok(())
        }
    }

    TakesCutSha512 {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            if cid.hash().code() == SHA2_512 && cid.hash().size() < 64 {
                return inner.put_trusted(cid, data);
            }
            inner.put(cid, data)
        }
    }

    DropsSha512 {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            if cid.hash().code() == SHA2_512 { check_block(cid, &data) } else { inner.put(cid, data) }
        }
    }

    KnowsThreeFunctions {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            known_to_all(cid)?;
            inner.put(cid, data)
        }

        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            inner.put_many(&mut blocks.map(|block| block.and_then(|(cid, data)| known_to_all(&cid).map(|()| (cid, data)))))
        }

        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            batch.puts().iter().try_for_each(|put| known_to_all(&put.cid))?;
            inner.commit(batch)
        }
    }

    TrustsUnknownHashes {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            match inner.put(cid, data.clone()) {
                Err(StoreError::UnsupportedHash { .. }) => inner.put_trusted(cid, data),
                result => result,
            }
        }
    }

    SecondPutFails {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            if inner.has(cid)? {
                return Err(StoreError::InvalidArgument { operation: "put", reason: format!("{cid} is already there") });
            }
            inner.put(cid, data)
        }
    }

    DropsEmptyBlocks {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            check_block(cid, &data)?;
            if data.is_empty() { Ok(()) } else { inner.put(cid, data) }
        }
    }

    SmallLimit {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            mnem_store_traits::backend::check_size(cid, &data, 2 * 1024 * 1024)?;
            inner.put(cid, data)
        }
    }
}

/// Records what was deleted, and never stores it again.
#[derive(Debug, Default)]
struct BuriesWhatItDeletes(Mutex<BTreeSet<Cid>>);

impl Defect for BuriesWhatItDeletes {
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        if lock(&self.0).contains(cid) { check_block(cid, &data) } else { inner.put(cid, data) }
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        lock(&self.0).insert(*cid);
        inner.delete(cid)
    }
}

/// Correct for laws that put little data.
#[derive(Debug, Default)]
struct LosesEveryNinth(Mutex<usize>);

impl Defect for LosesEveryNinth {
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        let mut puts = lock(&self.0);
        *puts += 1;
        if puts.is_multiple_of(9) { check_block(cid, &data) } else { inner.put(cid, data) }
    }
}
