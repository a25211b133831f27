//! Defects of stores that do not use whole CIDs as keys.

use mnem_store_traits::{
    Blockstore, Bytes, Cid, MemoryStore, RAW, StoreError, backend::check_block, cid::multihash::Multihash,
};

use super::{Defect, defect, saboteurs};

saboteurs! {
    ignores_codec: Renamed<ByCodec> => codec_is_part_of_the_key "equal but for the codec";
    ignores_version: Renamed<ByVersion> => version_is_part_of_the_key "equal but for the version";
    ignores_hash_function: Renamed<ByDigest> => equal_digests_of_other_hash_functions_are_others "under two hash functions";
    folds_case: Renamed<FoldsCase> => near_cids_are_apart "different in one byte";
    keys_by_prefix: Renamed<ByPrefix> => near_cids_are_apart "different in one byte";
    cuts_digests_at_40: Renamed<CutsAt40> => near_cids_are_apart "of the longest digests";
    cuts_codecs_at_16_bits: Renamed<CodecsOf16Bits> => near_cids_are_apart "in one bit of a high byte";
    lossy_text: Renamed<LossyText> => digests_that_are_not_text_are_kept "digests that are not text";
    cuts_digests_at_32: Renamed<CutsAt32> => identity_cids_of_every_length_are_kept "prefixes of each other";
    synthesises_identity: SynthesisesIdentity => identity_is_not_synthesised "before the put of an identity block";
}

defect! {
    SynthesisesIdentity {
        fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
            if cid.hash().code() == 0 {
                return Ok(Some(Bytes::copy_from_slice(cid.hash().digest())));
            }
            inner.get(cid)
        }
    }
}

/// The key under which a store keeps a block, if it does not use the whole CID.
trait Key: std::fmt::Debug + Default + Send + Sync + 'static {
    fn of(cid: &Cid) -> Cid;
}

fn unchecked(digest: &[u8]) -> Cid {
    Cid::new_v1(RAW, Multihash::wrap(0x3f_0001, &digest[..digest.len().min(64)]).expect("at most 64 bytes"))
}

macro_rules! key {
    ($($name:ident |$cid:ident| $key:expr;)*) => {$(
        #[derive(Debug, Default)]
        struct $name;

        impl Key for $name {
            fn of($cid: &Cid) -> Cid {
                $key
            }
        }
    )*};
}

key! {
    ByCodec |cid| Cid::new_v1(RAW, *cid.hash());
    ByVersion |cid| Cid::new_v1(cid.codec(), *cid.hash());
    ByDigest |cid| unchecked(cid.hash().digest());
    ByPrefix |cid| unchecked(&cid.hash().digest()[..cid.hash().digest().len().min(16)]);
    CutsAt32 |cid| unchecked(&cid.hash().digest()[..cid.hash().digest().len().min(32)]);
    CutsAt40 |cid| if cid.hash().size() > 40 { unchecked(&cid.hash().digest()[..40]) } else { *cid };
    CodecsOf16Bits |cid| if cid.codec() > 0xffff { Cid::new_v1(cid.codec() & 0xffff, *cid.hash()) } else { *cid };
    FoldsCase |cid| unchecked(&cid.hash().digest().to_ascii_lowercase());
    LossyText |cid| unchecked(String::from_utf8_lossy(cid.hash().digest()).as_bytes());
}

/// Keeps blocks under a key that several CIDs share.
#[derive(Debug, Default)]
struct Renamed<K>(K);

impl<K: Key> Defect for Renamed<K> {
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        inner.get(&K::of(cid))
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_block(cid, &data)?;
        inner.put_trusted(&K::of(cid), data)
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        inner.delete(&K::of(cid))
    }
    fn has(&self, inner: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        inner.has(&K::of(cid))
    }
    fn size(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<u64>, StoreError> {
        inner.size(&K::of(cid))
    }
    fn with_block(&self, inner: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        inner.with_block(&K::of(cid), f)
    }
}
