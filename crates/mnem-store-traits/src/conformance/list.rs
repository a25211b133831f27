//! The list of laws. The tests, the registry and the table in `CONTRACT.md` are all generated from it.

use super::{Claim, Group, Law, Level, Profile};

/// The list. `__conformance_laws!(mode …)` hands it to the arm of `__conformance_expand!` for that mode. It does not
/// take the name of a macro to call, because a name given by a foreign crate would not resolve to a macro of this
/// crate.
///
/// Each line is `level topic law [profiles; claims] "promise"`; the function of the law is `laws::topic::law`.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_laws {
    ($($mode:tt)*) => {
        $crate::__conformance_expand! {
            [$($mode)*]
            blocks {
                must get absent_is_none [Blocks]
                    "Every lookup of an absent block returns `Ok(None)` or `Ok(false)`."
                must get put_then_get_returns_the_bytes [Blocks]
                    "A block that was put is returned, byte for byte."
                must get blocks_of_every_size_are_returned_whole [Blocks]
                    "Blocks of 0 bytes to 1 MiB, on both sides of every usual boundary, are returned whole."
                must get unknown_hash_is_returned_as_stored [Blocks]
                    "Bytes under a hash function that cannot be computed, or under a truncated digest, are returned as they were stored."
                must get bytes_handed_out_never_change [Blocks]
                    "Bytes that were returned never change, whatever is written or deleted afterwards."
                must get has_and_size_agree_with_get [Blocks]
                    "`has` and `size` agree with `get`."
                must get with_block_lends_what_get_returns [Blocks]
                    "`with_block` calls back once, with exactly the bytes that `get` returns."
                must get with_block_is_not_called_for_absent [Blocks]
                    "`with_block` does not call back for an absent block, and returns `false`."
                must get with_block_callback_may_use_the_store [Blocks]
                    "No lock is held while the callback of `with_block` runs, on a small block or a large one: it may read and write the same store."
                must get panicking_callback_leaves_the_store_usable [Blocks]
                    "A panic in the callback of `with_block` reaches the caller and leaves the store usable."
                must get_many get_many_answers_each_index_once [Blocks]
                    "`get_many` answers each index once with what `get` returns: present, absent and repeated blocks."
                must get_many get_many_answers_a_long_request [Blocks]
                    "`get_many` answers each index of a request for 70,000 blocks (for a slow store, fewer)."
                must get_many get_many_ends_when_it_is_told [Blocks]
                    "After `Break`, early or late in a long request, the callback of `get_many` is not called again, and the result is `Ok`."
                must get_many get_many_callback_may_use_the_store [Blocks]
                    "The callback of `get_many` may read and write the same store, also in a long request, and may panic without harm."
                must has_many has_many_answers_as_has [Blocks]
                    "`has_many` answers each index, in order, with what `has` returns: present, absent and repeated blocks."
                must has_many has_many_answers_a_long_request [Blocks]
                    "`has_many` answers each index of a request for 70,000 blocks; a slow store is asked for fewer."
                must get capabilities_are_at_least_the_weakest [Blocks]
                    "Capabilities are constant, consistent, and allow blocks of at least 16 MiB."

                must put put_rejects_wrong_bytes [Blocks]
                    "`put` refuses bytes that do not match the CID with `CidMismatch`, and keeps none of them."
                must put put_checks_every_supported_hash [Blocks]
                    "The bytes are checked under every hash function that the store knows, by `put` and `put_many`, in CIDv0 and CIDv1 and under every codec."
                must put put_of_wrong_bytes_leaves_the_present_block [Blocks]
                    "Wrong bytes are refused even under a CID that is present, and the block stays unchanged."
                must put trusted_put_leaves_the_present_block [Blocks]
                    "A present block is not written again, not even by a trusted put of other bytes."
                must put put_rejects_unsupported_hash [Blocks]
                    "`put` refuses a hash function that it cannot compute with `UnsupportedHash`, and keeps nothing."
                must put put_rejects_truncated_digest [Blocks]
                    "`put` refuses a truncated digest with `UnsupportedHash`, even if the bytes match it."
                must put put_takes_every_supported_hash [Blocks]
                    "sha2-256, blake3 and identity are supported, in CIDv0 and CIDv1; every other hash function is either checked or refused with `UnsupportedHash`."
                must put put_twice_is_ok [Blocks]
                    "Putting a present block is `Ok` and changes nothing."
                must put put_does_not_check_the_codec [Blocks]
                    "Bytes that match their CID are stored whether or not they are valid in its codec."
                must put empty_block_is_a_block [Blocks]
                    "A block of 0 bytes is a block: absent until put, then present."
                must put block_of_16_mib_is_taken [Blocks]
                    "Every store accepts blocks of 16 MiB."
                must put block_above_the_limit_is_refused [Blocks Limits]
                    "Every way to write refuses a block above `block_bytes_max` with `BlockTooLarge`, and keeps nothing."
                must put put_many_takes_a_block_of_the_limit [Blocks Limits]
                    "`put_many` also accepts a block of `block_bytes_max`."
                must put put_trusted_stores_the_block [Blocks]
                    "`put_trusted` stores the block like `put`."
                must put put_trusted_keeps_unknown_hashes [Blocks]
                    "`put_trusted` stores a block whose hash function cannot be computed, or refuses it with `UnsupportedHash`."
                must put get_never_returns_wrong_bytes [Blocks]
                    "Wrong bytes given to `put_trusted` are either refused there or `Corrupt` to readers, and are never returned."
                must put damaged_block_is_healed_by_delete_and_put [Blocks]
                    "A damaged block is healed by `delete`, then `put`."

                must identity version_is_part_of_the_key [Blocks]
                    "A CIDv0 and the CIDv1 with the same digest and codec name two blocks."
                must identity codec_is_part_of_the_key [Blocks]
                    "The same bytes under two codecs are two blocks."
                must identity hash_function_is_part_of_the_key [Blocks]
                    "The same bytes under two hash functions are two blocks."
                must identity equal_digests_of_other_hash_functions_are_others [Blocks]
                    "CIDs with the same digest and different hash functions name different blocks, and a CID with a truncated digest names no stored block."
                must identity identity_is_not_synthesised [Blocks]
                    "A block under an identity CID is absent until it is put, and after it was deleted."
                must identity identity_cids_of_every_length_are_kept [Blocks]
                    "Identity CIDs of 0 to 64 bytes are kept apart, also where one is a prefix of another."
                must identity near_cids_are_apart [Blocks]
                    "CIDs that differ in one byte or bit at any position, codec and hash function included, or only in the case of one letter, name different blocks."
                must identity digests_that_are_not_text_are_kept [Blocks]
                    "CIDs are kept apart whatever bytes their digests hold: zeros, path separators, bytes that are not text."

                must put_many put_many_stores_every_block [Blocks]
                    "`put_many` stores every block of the batch, the first and the last included."
                must put_many put_many_of_nothing_is_ok [Blocks]
                    "An empty batch is `Ok`."
                must put_many put_many_takes_duplicates [Blocks]
                    "A block that a batch names twice is stored once."
                must put_many put_many_stores_the_same_bytes_under_each_cid [Blocks]
                    "A batch may name the same bytes under several CIDs: each is a block."
                must put_many put_many_takes_present_blocks [Blocks]
                    "A batch may name blocks that are already present."
                must put_many put_many_keeps_nothing_of_a_bad_batch [Blocks]
                    "A batch with one bad block is refused as a whole, whatever the position of the bad block."
                must put_many failed_put_many_leaves_present_blocks [Blocks]
                    "A refused batch removes no block that was present before."
                must put_many put_many_keeps_nothing_when_the_iterator_fails [Blocks]
                    "When the iterator fails, its error is returned unchanged and nothing of the batch is kept."
                must put_many put_many_iterator_may_use_the_store [Blocks]
                    "The iterator of a batch may read and write the same store."
                must put_many panicking_iterator_leaves_the_store_usable [Blocks]
                    "A panic of the iterator reaches the caller, keeps nothing of the batch, and leaves the store usable."
                must put_many reader_does_not_wait_for_a_batch [Blocks]
                    "Readers go on while a batch drains its iterator, and see nothing of it."

                must delete delete_removes_only_its_block [Blocks]
                    "`delete` removes its block from every lookup and from the listing, and no other block."
                must delete delete_of_absent_is_ok [Blocks]
                    "Deleting an absent block is `Ok`."
                must delete deleted_block_can_be_put_again [Blocks]
                    "A deleted block can be put again."
                must delete block_may_come_back_with_other_bytes [Blocks]
                    "If a block that cannot be checked is deleted and put again with other bytes, every read returns the new bytes."
                must delete delete_takes_the_whole_cid [Blocks]
                    "`delete` and `delete_many` compare whole CIDs: other blocks with the same digest stay."

                must delete_many delete_many_removes_only_its_blocks [Blocks]
                    "`delete_many` removes every block of its batch, from none to 1,500, and no other block."
                must delete_many delete_many_ignores_absent_and_repeated_blocks [Blocks]
                    "`delete_many` ignores absent and repeated blocks, and compares whole CIDs."
                must delete_many delete_many_removes_nothing_when_the_iterator_fails [Blocks]
                    "When the iterator of `delete_many` fails, its error is returned unchanged and every block stays."
                must delete_many delete_many_iterator_may_use_the_store [Blocks]
                    "The iterator of `delete_many` may read and write the same store, and may panic without harm."
                must sweep sweep_removes_the_dead_blocks_of_its_part [Blocks]
                    "`sweep` shows each block of its part once, removes the dead ones and no other, and counts them; or it is not supported and does nothing."
                must sweep panicking_sweep_removes_nothing [Blocks]
                    "A panic in the callback of `sweep` reaches the caller, removes nothing, and leaves the store usable."

                must cids cids_of_an_empty_store_is_empty [Blocks]
                    "An empty store lists nothing."
                must cids cids_lists_every_block_once [Blocks]
                    "`cids` lists every block exactly once, even if there are more than a thousand."
                must cids cids_lists_whole_cids [Blocks]
                    "`cids` lists the CIDs as they were put: version, codec and hash function."
                must cids cids_may_be_left_half_way [Blocks]
                    "A listing may be abandoned halfway, and several listings may run at once."
                must cids cids_does_not_block_writers [Blocks]
                    "The consumer of a listing may write to the same store between two items; a present block that it puts again, through any call, is listed once."
                must cids cids_keeps_steady_blocks_while_listed_ones_are_deleted [Blocks]
                    "A consumer that deletes each block after it was listed misses no other block."

                must walk walk_is_depth_first_in_encoded_order [Blocks]
                    "A walk visits a block before the blocks it links to, depth-first, links in encoded order."
                must walk walk_yields_a_shared_block_once [Blocks]
                    "A walk yields a block that several others link to once, also among thousands."
                must walk walk_moves_pending_links_to_the_front [Blocks]
                    "A block that is both pending and linked from the current block is visited next, as depth-first order requires."
                must walk walk_of_many_shared_links_is_in_order [Blocks]
                    "The order also holds in a graph in which every block links to all blocks below it."
                must walk walk_reports_a_missing_child_with_its_parent [Blocks]
                    "A walk reports an absent block once, with the block that links to it, and goes on."
                must walk walk_reports_a_missing_root [Blocks]
                    "A walk of an absent root reports it and ends."
                must walk walk_reports_malformed_dag_cbor [Blocks]
                    "A walk reports a block that is not canonical DAG-CBOR as `Malformed`, and goes on."
                must walk walk_takes_other_codecs_as_leaves [Blocks]
                    "A block of any codec other than DAG-CBOR, DAG-PB and DAG-JSON is a leaf."
                must walk walk_follows_dag_pb [Blocks]
                    "The links of DAG-PB are followed in encoded order, of CIDv0 and CIDv1, before and after the data."
                must walk walk_follows_dag_json [Blocks]
                    "The links of DAG-JSON are followed in encoded order; texts and bytes that look like links are not."
                must walk walk_reports_malformed_dag_pb_and_dag_json [Blocks]
                    "A walk reports a block that is not valid DAG-PB or DAG-JSON as `Malformed`, and goes on."
                must walk walk_finds_links_in_lists_and_maps [Blocks]
                    "Links are found in lists and maps at any depth, and identity CIDs are links like any other."
                must walk walk_of_a_deep_chain_ends [Blocks]
                    "A chain of 100,000 blocks is walked to its end without recursion."
                must walk walk_works_through_every_pointer [Blocks]
                    "A walk accepts a reference, an `Arc` or a `Box` of a `dyn` store, and several roots."
                must walk missing_links_names_each_absent_block_once [Blocks]
                    "`missing_links` names each absent block once with a block that links to it, and fails if links are hidden."
                must walk get_required_names_the_missing_block [Blocks]
                    "`get_required` of an absent block is a `MissingBlock` that names it."

                must model random_block_operations_agree_with_a_model [Blocks]
                    "Random sequences of puts, deletes and lookups leave what a trivial model holds."

                must views blocks_are_the_same_through_every_pointer [Blocks]
                    "Blocks are the same through `&S`, `Box<S>`, `Arc<S>` and `dyn`."
            }
            heads {
                must update new_store_has_no_heads [Heads]
                    "A new store has no heads."
                must update update_adds_a_head [Heads]
                    "`update` adds its new head and keeps the heads that it does not supersede."
                must update update_removes_every_superseded_head [Heads]
                    "`update` removes all heads that it supersedes, and no others."
                must update update_takes_hundreds_of_superseded_heads [Heads]
                    "Many heads, and hundreds of superseded CIDs, behave like a few."
                must update heads_are_sorted_and_unique [Heads]
                    "`heads` is ascending in the order of `Cid`, without duplicates."
                must update new_head_named_in_supersedes_stays [Heads]
                    "A new head that is named among those it supersedes stays."
                must update unknown_superseded_ids_are_ignored [Heads]
                    "Superseded CIDs that are not heads are ignored."
                must update superseded_head_may_come_back [Heads]
                    "A head that was superseded may come back."
                must update repeated_update_changes_nothing [Heads]
                    "Repeating an update, or naming a superseded head twice, changes nothing."
                must update heads_are_whole_cids [Heads]
                    "Heads are compared as whole CIDs: another CID with the same digest is another head."
                must update heads_need_no_block [Heads]
                    "A head is a CID of any kind and needs no block."
                must update heads_capabilities_are_constant [Heads]
                    "The capabilities for heads are constant."
                must swap swap_replaces_expected_heads [Heads]
                    "`swap` replaces all heads with the new one if they are as expected."
                must swap swap_from_other_heads_is_refused [Heads]
                    "`swap`, alone or in a commit, from any other set is refused with `HeadsMoved`, which carries the heads, and changes nothing."
                must swap swap_of_empty_sets_the_first_head [Heads]
                    "`swap` that expects no heads sets the first one, and only the first one."
                must swap swap_takes_expected_as_a_set [Heads]
                    "The order and repetition of the expected heads do not matter."
                must swap swap_takes_a_new_head_that_is_expected [Heads]
                    "The new head of a `swap` may be among the expected ones."
                must model random_head_changes_agree_with_a_model [Heads]
                    "Random sequences of updates and swaps leave the heads that a trivial model has."

                must views heads_are_the_same_through_every_pointer [Heads]
                    "Heads are the same through `&S`, `Box<S>`, `Arc<S>` and `dyn`."
            }
            store {
                must commit commit_lands_blocks_and_head [Store]
                    "`commit` stores all its blocks and makes its head change."
                must commit commit_changes_heads_as_update_does [Store]
                    "The head change of a commit follows the law of `update`."
                must commit commit_changes_heads_as_swap_does [Store]
                    "The head change of a commit follows the law of `swap`."
                must sets commit_adds_every_new_head [Store]
                    "A commit may update to a set of new heads: all of them are added, in any order, even those that the same change supersedes."
                must sets commit_swaps_to_every_new_head [Store]
                    "A commit may swap to a set of new heads, which are then the only heads."
                must sets commit_refuses_an_empty_set_of_new_heads [Store]
                    "A head change whose set of new heads is empty is an `InvalidArgument`, and nothing of its commit is written."
                must sets commit_takes_thousands_of_heads [Store]
                    "4,000 new heads of every kind of CID, superseded CIDs and expected heads behave like a few."
                must commit commit_without_a_head_lands_blocks [Store]
                    "A commit without a head change stores its blocks and moves no head."
                must commit commit_of_nothing_changes_nothing [Store]
                    "Committing an empty batch is `Ok` and does nothing."
                must commit commit_checks_every_supported_hash [Store]
                    "The bytes of a commit are checked under every hash function that the store knows; any other is refused."
                must commit commit_keeps_nothing_of_a_bad_batch [Store]
                    "A commit with one bad block is refused as a whole: no block, no head."
                must commit commit_refuses_a_missing_requirement [Store]
                    "A commit that requires an absent block is refused with `MissingBlock`, which names the block, and moves no head."
                must alike requirements_are_whole_cids [Store]
                    "A requirement is met by the block of its whole CID, and not by the same bytes under another version, codec or hash function, in the store or in a batch of any size."
                must commit commit_decides_requirements_before_its_swap [Store]
                    "A commit that requires an absent block and whose swap expects other heads is refused with `MissingBlock`."
                must commit commit_that_misses_a_requirement_keeps_no_block [Store; AtomicCommit]
                    "An atomic commit that requires an absent block keeps none of its own blocks."
                must commit commit_takes_a_requirement_that_is_met [Store]
                    "A block of the store, or of the batch itself, meets a requirement until it is deleted."
                must commit commit_lands_the_head_when_blocks_are_present [Store]
                    "The head change is made even if every block of the batch is already present, or the batch has no blocks."
                must commit commit_with_a_failed_swap_moves_no_head [Store]
                    "A commit whose swap expects other heads is refused with `HeadsMoved` and moves no head."
                must commit commit_with_a_failed_swap_keeps_no_block [Store; AtomicCommit]
                    "An atomic commit whose swap is refused keeps none of its blocks."
                must commit commit_writes_a_deleted_block_again [Store]
                    "A block that was committed, deleted and committed again is present."
                must commit commit_under_the_same_head_lands_blocks [Store]
                    "A commit that does not change the heads stores its blocks."
                must commit trusted_puts_of_a_commit_leave_present_blocks [Store]
                    "A trusted put of a commit leaves a present block unchanged."
                must commit commit_takes_duplicates_and_trusted_puts [Store]
                    "A batch may name a block twice, and may contain trusted puts of every block that `put_trusted` accepts."
                must commit commit_stores_the_same_bytes_under_each_cid [Store]
                    "A commit may name the same bytes under several CIDs: each is a block."
                must commit callers_code_may_use_heads_and_commit [Store]
                    "The callback of `with_block` and the iterator of a batch may read and change heads, and commit."
                must commit close_cuts_no_listing_short [Store]
                    "A listing that is running when the store is closed continues to its end, or fails with `Closed`."
                must commit closed_store_refuses_calls [Store]
                    "After `close`, every call with a non-empty request returns `Closed`, even if it would change nothing, and closing again is `Ok`. If there is nothing to close, `close` changes nothing."

                must side_table side_tables_are_offered_where_claimed [Store]
                    "`side_table` works if `side_tables` is claimed, and is `Unsupported` otherwise; a new store lists no tables."
                must side_table side_table_names_are_checked [SideTables]
                    "Names of side tables match `[a-z0-9_]{1,32}`; any other is an `InvalidArgument`."
                must side_table side_table_keys_and_values_are_checked [SideTables]
                    "A write with a key outside 1 to 100 bytes, or a value above 16 MiB, is an `InvalidArgument`, and nothing of it is written; a value of 16 MiB is accepted."
                must side_table side_table_returns_what_was_written [SideTables]
                    "A side table returns the complete value that was written last."
                must side_table side_table_write_applies_puts_then_deletes [SideTables]
                    "A write applies its puts in order, however many, then its deletes; deleting an absent key is `Ok`."
                must side_table side_table_keys_are_sorted_and_filtered [SideTables]
                    "`keys` lists the keys with the prefix, each once, ascending as bytes."
                must side_table side_table_keys_blocks_no_writer [SideTables]
                    "The consumer of `keys` may write to the same table between two items."
                must side_table side_table_exists_by_its_keys [SideTables]
                    "`side_tables` names exactly the tables that hold a key, ascending; neither opening a table nor deleting an absent key creates one."
                must side_table side_tables_are_separate [SideTables]
                    "Side tables do not see each other's keys, nor blocks and heads."
                must side_table side_tables_whose_names_begin_alike_are_separate [SideTables]
                    "Tables share no rows, even if one name is a prefix of another or would match it as a pattern, and even among 300 tables."
                must side_table closed_store_refuses_side_tables [SideTables]
                    "A side table of a closed store returns `Closed`."

                must buffered buffered_puts_are_visible_at_once [Store]
                    "Puts through `Buffered` are visible through it at once, and in the store below only after they have landed."
                must buffered buffered_update_lands_the_puts [Store]
                    "`update` and `swap` through `Buffered` land the staged puts together with the head."
                must buffered buffered_checks_what_it_stages [Store]
                    "`Buffered` checks bytes as a store does, and keeps nothing of a refused call."
                must buffered buffered_keeps_puts_when_a_swap_fails [Store]
                    "A refused `swap` keeps the staged puts, and can be repeated."
                must buffered buffered_requires_puts_it_skipped [Store]
                    "A put that `Buffered` skipped because the block was present makes the commit require the block."
                must buffered buffered_delete_removes_staged_blocks [Store]
                    "`delete` through `Buffered` removes a block both from the staged puts and from the store below."
                must buffered buffered_flush_lands_without_a_head [Store]
                    "`flush` lands the staged puts, moves no head and leaves nothing staged."
                must buffered buffered_spills_past_its_bound [Store]
                    "Above its bound, `Buffered` lands the staged blocks and loses none."
                must buffered buffered_claims_no_put_durability [Store]
                    "`Buffered` claims no durability for puts, and otherwise the capabilities of the store below."
                must buffered buffered_commit_takes_the_puts_along [Store]
                    "`commit` through `Buffered` lands the staged puts too, and a staged block meets its requirements."
                must buffered buffered_lands_when_dropped [Store]
                    "Dropping `Buffered` lands the staged blocks."
                must buffered buffered_passes_side_tables_through [SideTables]
                    "Side tables pass through `Buffered`."
                must buffered buffered_close_lands_and_closes [Store]
                    "`close` of `Buffered` lands the staged blocks; later calls return `Closed`."

                must model random_commits_agree_with_a_model [Store]
                    "Random sequences of commits, puts and head changes leave what a trivial model holds."
                must model random_side_table_writes_agree_with_a_model [SideTables]
                    "Random writes to a side table leave the rows that a trivial model has."

                must views parts_of_a_store_share_its_content [Store]
                    "An `Arc<dyn Store>` that is converted to `Arc<dyn Blockstore>` or `Arc<dyn OpHeadsStore>` is the same store."
            }
            ways {
                must every_hash every_write_checks_every_hash [Blocks]
                    "Every way to write refuses wrong bytes (a few, or 16 MiB), digests that are too short or too long, and unknown hash functions, under every CID. The error for wrong bytes names the CID that they have."
                must every_hash every_write_takes_every_supported_hash [Blocks]
                    "Every way to write accepts a block under every supported hash function, codec and version."
                must every_hash every_write_refuses_what_is_no_cid [Blocks]
                    "Every way to write refuses a CID whose codec or hash function has more than 63 bits with `InvalidArgument`, as a block, even in a large batch, and as a head. Nothing is kept, and no lookup finds it."
                must every_size every_write_keeps_to_the_limit [Blocks Limits]
                    "Every way to write accepts a block of `block_bytes_max`, and refuses a larger one with `BlockTooLarge`."
                must every_size every_batch_may_be_large [Blocks]
                    "Every way to write many blocks accepts 1 to 20,000 of them (for a slow store, as many as it can handle in a sixth of the deadline)."
                must every_size commit_takes_thousands_of_requirements [Store]
                    "A commit accepts 1,500 required blocks, and finds a single absent one among them."
                must every_size head_changes_may_be_large [Heads]
                    "`update` and `swap` accept 2,000 CIDs, and compare each of them as a whole CID."
                must every_size side_table_takes_keys_of_the_limit [SideTables]
                    "A key of 100 bytes, in a table whose name has 32 bytes, can be written, read, listed and deleted."
                must every_size side_table_writes_may_be_large [SideTables]
                    "A side table's write accepts 5,000 rows, and as many deletes of keys that it puts (for a slow store, as many as it can handle in a sixth of the deadline)."
                must every_page cids_goes_on_when_its_cursor_is_deleted [Blocks]
                    "`cids` lists all of 2,600 blocks even if the block that it listed last is deleted at the end of a page of any usual size."
                must alike cids_that_are_alike_are_listed_on_every_page [Blocks]
                    "`cids` lists 600 identity CIDs with the same beginning, 600 CIDv0s and 600 CIDs of one text, each once and as it was put."
                must alike listings_go_on_when_what_comes_next_is_deleted [Blocks]
                    "`cids` and `keys` list everything that is present throughout, even if most of the items that come next are deleted meanwhile."
                must alike large_batches_keep_cids_apart [Blocks]
                    "Every way to write a large batch, of puts or of deletes, keeps the same bytes under two CIDs apart."
                must alike long_keys_are_apart_on_every_page [SideTables]
                    "Keys of 100 bytes that differ in their last bytes are listed and filtered on every page, and each has its own value."
                must every_page keys_goes_on_when_its_cursor_is_deleted [SideTables]
                    "`keys` lists all of 2,600 keys, ascending, even if the key that it listed last is deleted at the end of a page of any usual size."
                must every_page listings_at_the_same_time_are_apart [Blocks]
                    "Two interleaved listings of one handle, of blocks or of keys, each yield every item once. So does a listing that begins after others were abandoned."
                must every_page long_listings_are_complete [Blocks]
                    "`cids` lists 70,000 blocks, and `keys` as many keys, each once and without slowing down (for a slow store, as many as it can handle in a sixth of the deadline)."
                must every_page cids_lists_what_moves_while_its_consumer_puts [Blocks]
                    "`cids` lists each block that is present throughout once, while its consumer puts hundreds of others."
                must sweep reader_does_not_wait_for_a_sweep [Blocks]
                    "Readers in other threads go on while the callback of a `sweep` runs."
                must refused refused_write_is_forgotten [Blocks]
                    "After a write was refused, for whatever reason, every way to write its blocks stores them like any others."
                must every_page late_bad_block_keeps_nothing_of_a_large_batch [Blocks]
                    "No way to write a batch keeps anything of a batch of 3,000 blocks and 3 MiB whose last block is bad in any way, or of a batch of 64 MiB or of 20,000 blocks whose last block has wrong bytes."
                must every_page large_batches_are_drained_before_anything_is_done [Blocks]
                    "The iterator of a batch of 3 MiB or 20,000 blocks, or of 23,000 CIDs to delete, may read and write the same store at its end, and fail there: nothing of the batch is kept or removed."
                must every_page batches_of_many_bytes_are_taken [Blocks]
                    "Every way to write a batch accepts a batch of 64 MiB, and one `get_many` returns it."
                must every_look every_read_follows_every_write [Blocks]
                    "Every way to read finds what a write added and does not find what it removed, even if the handle has read it before."
                must every_look every_read_follows_every_write_for_a_reader [Blocks SecondReader]
                    "Through a second handle that only reads, every way to read finds what a write added and does not find what it removed, whatever the handle has cached."
                must every_look large_write_of_another_handle_is_seen_whole [Blocks SecondHandle]
                    "A write of 9 MiB, of 300 blocks or rows, or in many calls is seen completely through another handle that has read before."
                must numbers changes_that_keep_every_number_are_seen [Blocks SecondHandle]
                    "Every way to read sees a change by another handle, even if it keeps the number of items, their sizes, and the first and last item."
                must every_look a_round_number_of_changes_is_no_standstill [Blocks SecondHandle]
                    "If one handle makes exactly 256 changes, every way to read through another handle sees the last of them."
                must behind handle_far_behind_catches_up [Blocks SecondHandle]
                    "A handle that is 4,200 changes of another handle behind, or as many as a slow store can make in time, reads the current content in every way, and its writes build on that."
                must every_look every_read_follows_every_write_of_another_handle [Blocks SecondHandle]
                    "Through one handle, every way to read finds what a write through another added and does not find what it removed, whatever the two handles have cached."
                must every_callback every_write_within_callers_code_stands [Blocks]
                    "The iterator of a batch, a callback, or the consumer of a listing may write through every call: the write is visible at once and remains, and the outer call keeps its promises."
                must every_callback close_within_callers_code_is_a_close [Store]
                    "`close` within the iterator of a batch, a callback, or the consumer of a listing returns and closes the store; a batch that it closes changes nothing."
                must every_callback panic_in_callers_code_harms_nothing [Blocks]
                    "After a panic in an iterator, a callback, or the consumer of a listing every way to write works, and `close` is `Ok`."
            }
            persistence {
                must reopen acknowledged_blocks_survive_reopen [Blocks Persistence; PutsSurvive]
                    "After the store was closed and opened again, all acknowledged blocks are present, and no others, even after thousands of writes."
                must reopen blocks_survive_a_drop_without_close [Blocks Persistence; PutsSurvive]
                    "Acknowledged blocks are present even if the store was dropped without `close`."
                must reopen every_kind_of_block_survives_reopen [Blocks Persistence; PutsSurvive]
                    "Blocks of every size and every kind of CID are the same after reopening."
                must reopen deletes_survive_reopen [Blocks Persistence; PutsSurvive]
                    "A deleted block is absent after reopening, and one that was put again is present."
                must reopen what_came_back_survives_reopen [Blocks Persistence; PutsSurvive HeadsSurvive]
                    "A block, a head and a row that were removed and added again are present after reopening."
                must reopen opening_undoes_nothing [Blocks SecondHandle]
                    "Opening the store again undoes nothing: a block, a head and a row that were removed and added again are present, and open handles keep working when most of the store was deleted."
                must delete_many delete_many_survives_reopen [Blocks Persistence; PutsSurvive]
                    "Blocks removed by `delete_many` are absent after reopening, and the others are present."
                must sweep sweep_survives_reopen [Blocks Persistence; PutsSurvive]
                    "Blocks removed by `sweep` are absent after reopening, and the others are present."
                must reopen empty_store_reopens_empty [Blocks Persistence]
                    "An empty store is empty and usable after reopening."
                must reopen heads_survive_reopen [Heads Persistence; HeadsSurvive]
                    "Heads are the same after reopening."
                must reopen no_heads_survive_reopen_as_none [Heads Persistence]
                    "A store without heads has none after reopening, and accepts its first one."
                must reopen commit_survives_reopen [Store Persistence; PutsSurvive HeadsSurvive]
                    "The blocks and the head of a commit are present after reopening, with `close` and without."
                must sets sets_of_heads_survive_reopen [Store Persistence; HeadsSurvive]
                    "All new heads of one commit are present after reopening, with `close` and without."
                must reopen side_tables_survive_reopen [SideTables Persistence; PutsSurvive]
                    "Side tables are the same after reopening."
                must sessions session_keeps_what_it_does_not_use [Blocks Persistence; PutsSurvive]
                    "A handle that does nothing, or uses only blocks, only heads or only rows, loses nothing else, whether it is closed or dropped."
                must sessions openings_may_be_closed_in_any_order [Blocks SecondHandle Persistence; PutsSurvive]
                    "The writes of each of two handles are present after both were closed, in either order, and the store was reopened. A handle that is behind undoes nothing when it is closed."
                must sessions long_listings_survive_reopen [Blocks Persistence; PutsSurvive]
                    "`cids` lists 10,500 blocks, and `keys` as many keys, after the store was reopened."
                must model random_operations_survive_reopening [Store Persistence; PutsSurvive HeadsSurvive]
                    "Random sequences of commits, puts and head changes, with the store reopened in between, leave what a trivial model holds."
                must second put_is_visible_through_a_second_handle [Blocks SecondHandle]
                    "A block is visible through every handle once its put returned `Ok`."
                must second delete_is_visible_through_a_second_handle [Blocks SecondHandle]
                    "A block is absent through every handle once its delete returned `Ok`, also for a commit that requires many blocks."
                must second heads_are_visible_through_a_second_handle [Heads SecondHandle]
                    "A head change is visible through every handle once it returned `Ok`."
                must second head_changes_build_on_those_of_other_handles [Heads SecondHandle]
                    "A head change builds on the changes that other handles have made since its own handle last read the heads."
                must second commit_is_visible_through_a_second_handle [Store SecondHandle]
                    "A commit is visible through every handle once it returned `Ok`."
                must second close_leaves_other_openings_open [Store SecondHandle]
                    "`close` closes one handle of a store: another handle stays open, and a new one can be opened."
                must second side_tables_are_visible_through_a_second_handle [SideTables SecondHandle]
                    "A side table's write is visible through every handle once it returned `Ok`."
                must second two_handles_lose_no_head [Heads SecondHandle]
                    "Concurrent updates through two handles lose no head."
                must process blocks_are_visible_to_a_second_process [Blocks SecondProcess]
                    "Puts and deletes are visible to another process once they have returned `Ok`, in both directions."
                must process heads_are_visible_to_a_second_process [Heads SecondProcess]
                    "Head changes are visible to another process once they have returned `Ok`, in both directions."
                must process two_processes_lose_no_head [Heads SecondProcess]
                    "Concurrent updates of two processes lose no head."
            }
            concurrency {
                must race put_is_visible_to_another_thread [Blocks]
                    "A read that begins after a put returned `Ok` sees the block, in every thread."
                must race delete_is_visible_to_another_thread [Blocks]
                    "A read that begins after a delete returned `Ok` finds nothing, in every thread, even if another thread read the block meanwhile."
                must race block_is_never_seen_in_part [Blocks]
                    "A reader sees a block whole or not at all while it is being put."
                must race concurrent_puts_of_one_block_all_succeed [Blocks]
                    "Concurrent puts of the same block all succeed, and the block is listed once."
                must race concurrent_batches_of_the_same_blocks_land [Blocks]
                    "Concurrent batches of the same blocks, in whatever order, all land."
                must race openings_disturb_no_write [Blocks SecondHandle]
                    "The store may be opened again while another handle writes through any call: nothing of the write is lost."
                must race writes_beside_close_stand_or_are_refused [Store SecondHandle]
                    "A write concurrent with `close` fails with `Closed`, or is visible through another handle."
                must race concurrent_puts_lose_no_block [Blocks]
                    "Concurrent puts and batches of different blocks lose none."
                must every_race deletes_lose_no_put_of_another_thread [Blocks]
                    "Neither `delete` nor `delete_many` loses a different block that another thread writes meanwhile through any call, and no such write undoes the delete."
                must every_race writes_of_every_kind_at_once_lose_nothing [Blocks]
                    "If threads write blocks, deletes, heads and rows at once, through every call and through one handle or two, everything added is present afterwards, and everything deleted is absent."
                must cids cids_keeps_steady_blocks_under_writes [Blocks]
                    "`cids` lists each block that is present throughout exactly once, while other threads write and delete."
                must race concurrent_updates_lose_no_head [Heads]
                    "Concurrent updates lose no head that none of them superseded, and each thread sees its own head at once."
                must race concurrent_swaps_let_one_win [Heads]
                    "Of several concurrent swaps from the same heads, exactly one succeeds."
                must race concurrent_commits_that_swap_let_one_win [Store]
                    "Of several concurrent commits that swap the same heads, exactly one succeeds, with its block."
                must race heads_are_never_empty_again [Heads]
                    "Once the first head exists, no reader sees an empty set."
                must race head_changes_are_seen_as_one_step [Heads; AtomicHeads]
                    "If `atomic_heads` is claimed, no reader sees a state in which only some of the superseded heads are gone."
                must sets new_heads_of_a_commit_are_seen_as_one_step [Store; AtomicHeads]
                    "If `atomic_heads` is claimed, no reader sees some of the new heads of a commit without the others."
                must race head_histories_are_linearizable [Heads; AtomicHeads]
                    "If threads change and read heads concurrently, some sequential order of their calls explains every answer."
                must race head_is_never_seen_without_its_blocks [Store]
                    "A reader that sees the head of a commit can read all of its blocks."
                must race concurrent_commits_all_land [Store]
                    "Concurrent commits, of one head and of two, all land, with their blocks and heads."
                must side_table side_table_write_is_seen_as_one_step [SideTables; AtomicSideTableWrites]
                    "If `atomic_side_table_writes` is claimed, no reader sees half of a write."
                must side_table concurrent_side_table_writes_lose_no_row [SideTables]
                    "Concurrent writes to one side table, and to several, lose no row."
            }
            faults {
                must damage damaged_block_is_corrupt_to_every_read [Blocks Damage]
                    "Every read of a block whose stored bytes were changed, truncated or replaced fails with `Corrupt`, even in a long request. The error names the block, and none of its bytes are returned."
                must damage damaged_block_hides_no_other [Blocks Damage]
                    "A damaged block is listed, and every other block is returned."
                must damage damaged_block_is_not_taken_for_absent [Blocks Damage]
                    "`has` and `size` of a damaged block report it as present, or fail with `Corrupt`."
                must damage damage_on_the_medium_is_healed_by_delete_and_put [Blocks Damage]
                    "A block that was damaged on the medium is healed by `delete` or `delete_many`, then `put`."
                must damage walk_reports_a_damaged_block [Blocks Damage]
                    "A walk reports a damaged block as `Corrupt`, and goes on."

                must fault failed_read_is_an_error_and_no_absence [Blocks Faults]
                    "While the medium cannot be read, every lookup and listing returns the right answer or an error, never an absence. Afterwards the handle can read again."
                must fault failed_read_ends_a_listing [Blocks Faults]
                    "An error ends a listing, of blocks and of keys."
                must fault failed_read_of_heads_is_an_error [Heads Faults]
                    "While the medium cannot be read, `heads` returns the right set or an error, never another set."
                must fault failed_read_of_a_side_table_is_an_error [SideTables Faults]
                    "While the medium cannot be read, every read of a side table returns the right answer or an error, never an empty table."
                must fault failed_write_harms_no_block [Blocks Faults; PutsSurvive]
                    "A `put_many` on a failing medium harms no block that was present before, and leaves each of its own blocks whole or absent."
                must fault failed_put_many_keeps_all_or_nothing [Blocks Faults; PutsSurvive AtomicPutMany]
                    "An atomic `put_many` on a failing medium keeps all its blocks or none, as its outcome says."
                must fault failed_head_change_is_old_or_new [Heads Faults; HeadsSurvive]
                    "A head change on a failing medium leaves the old heads or the new one, as its outcome says."
                must fault failed_commit_leaves_no_head_without_its_blocks [Store Faults; PutsSurvive HeadsSurvive]
                    "A commit on a failing medium leaves the old heads, or the new one and all its blocks, as its outcome says."
                must fault failed_commit_is_all_or_nothing [Store Faults; AtomicCommit PutsSurvive HeadsSurvive]
                    "An atomic commit on a failing medium leaves its blocks and its head, or none of them."
                must sets failed_commit_lands_all_new_heads_or_none [Store Faults; HeadsSurvive]
                    "A commit of several heads on a failing medium leaves the old heads or all new ones, as its outcome says."
                must fault failed_side_table_write_is_as_its_outcome_says [SideTables Faults; PutsSurvive]
                    "A side table's write on a failing medium leaves a prefix of its rows: none after `NotApplied`, and all or none if `atomic_side_table_writes` is claimed."
                must fault failed_sync_refuses_writes_until_reopened [Blocks Faults; PutsSurvivePower]
                    "After a failed sync the handle refuses puts with `Poisoned` until the store is reopened, and continues to read."
                must fault failed_sync_refuses_head_changes_until_reopened [Heads Faults; HeadsSurvivePower]
                    "After a failed sync the handle refuses head changes with `Poisoned` until the store is reopened, and continues to read."
                must fault close_reports_and_closes_under_faults [Store Faults; PutsSurvive]
                    "`close` on a failing medium reports the failure and closes the store nevertheless; nothing acknowledged is lost."
                must fault readers_do_not_wait_for_a_sync [Blocks Faults; PutsSurvivePower]
                    "No reader waits for the sync of a writer."
                must fault readers_of_heads_do_not_wait_for_a_sync [Heads Faults; HeadsSurvivePower]
                    "No reader of heads waits for the sync of a head change."

                must every_fault every_read_that_fails_is_an_error [Blocks Faults]
                    "If any read of the medium fails during a call, every way to read returns the right answer or an error, never an absence, and works again afterwards."
                must every_look failed_read_is_no_old_answer [Blocks Faults SecondHandle]
                    "If the medium fails during a read after another handle's write, the read returns an error or the current state, never an earlier one."
                must every_fault failed_read_ends_a_listing_on_any_page [Blocks Faults]
                    "If any read of the medium fails during a listing of blocks or keys, the error is the last item of the listing, even if reads succeed again."
                must every_fault every_write_that_fails_is_as_it_says [Blocks Faults; PutsSurvive]
                    "If any read, write or sync of the medium fails during a write, the contents of the store agree with the outcome, even if the handle keeps working."
                must every_fault commit_that_cannot_look_moves_no_head [Store Faults; PutsSurvive HeadsSurvive]
                    "A commit that cannot look up a required block fails and moves no head."
                must every_fault opening_that_fails_is_no_empty_store [Blocks Faults; PutsSurvive]
                    "If any operation of the medium fails during an open, of a small store or a large one, the open fails or the handle finds everything, and so do later opens."
                must poison failed_sync_refuses_every_write [Blocks Faults; PutsSurvivePower]
                    "After a failed sync of any write, even one that had nothing to write itself, the handle and each of its side tables refuse every write with a non-empty request with `Poisoned`, even if it would change nothing, until the store is reopened. Its capabilities stay the same. Once closed, they fail with `Closed`."
                must poison poisoned_handle_reads_what_others_write [Blocks SecondHandle Faults; PutsSurvivePower]
                    "After a failed sync, every way to read returns what other handles have written since, or an error."
                must every_fault no_read_waits_for_a_sync_of_any_write [Blocks Faults; PutsSurvivePower]
                    "No way to read, through any handle, waits for the sync of any way to write, even if it reads several pages or asks for hundreds of blocks."

                must crash acknowledged_blocks_survive_a_power_cut [Blocks Crash; PutsSurvivePower]
                    "If the power is cut at any point of a `put_many`, acknowledged blocks are present, and each other block is whole or absent."
                must crash deletes_survive_a_power_cut [Blocks Crash; PutsSurvivePower]
                    "If the power is cut at any point of a `delete` or `delete_many`, a block is whole or absent, and absent if the deletion was acknowledged."
                must crash put_many_is_all_or_nothing_after_a_power_cut [Blocks Crash; AtomicPutMany]
                    "If the power is cut at any point of an atomic `put_many`, all its blocks are present, or none."
                must crash acknowledged_heads_survive_a_power_cut [Heads Crash; HeadsSurvivePower]
                    "If the power is cut at any point of a head change, the heads are the old ones or the new ones, and the new ones if the change was acknowledged."
                must crash no_head_without_its_blocks_after_a_power_cut [Store Crash; PutsSurvivePower HeadsSurvivePower]
                    "If the power is cut at any point of a commit, no head is present without its blocks."
                must crash commit_is_all_or_nothing_after_a_power_cut [Store Crash; AtomicCommit PutsSurvivePower HeadsSurvivePower]
                    "If the power is cut at any point of an atomic commit, its blocks and its head are all present, or none of them."
                must sets heads_of_a_commit_survive_a_power_cut_together [Store Crash; HeadsSurvivePower]
                    "If the power is cut at any point of a commit of several heads, the heads are the old ones or all of the new ones."
                must crash side_table_rows_survive_a_power_cut [SideTables Crash; PutsSurvivePower]
                    "If the power is cut at any point of a side table's write, each row is the old one or the new one, and the new one if the write was acknowledged."
                must crash side_table_write_is_all_or_nothing_after_a_power_cut [SideTables Crash; AtomicSideTableWrites]
                    "If the power is cut at any point of an atomic write to a side table, all of it is present, or nothing."
                must crash second_put_makes_an_unsynced_block_durable [Blocks SecondHandle Faults Crash; PutsSurvivePower]
                    "A put of a block that another handle could not sync makes it durable before it returns `Ok`."
                must crash put_after_reopening_makes_an_unsynced_block_durable [Blocks Faults Crash; PutsSurvivePower]
                    "A put of a block that the previous handle could not sync makes it durable before it returns `Ok`."
                must every_cut every_acknowledged_write_survives_a_power_cut [Blocks Crash; PutsSurvivePower]
                    "If the power is cut at any point of any write, and once more after recovery, everything that was acknowledged before either cut is present."
                must late_cuts later_writes_of_a_handle_survive_a_power_cut [Blocks Crash; PutsSurvivePower]
                    "Through every way to write, the 100th and the 256th write of a handle, and the one after each, are as durable as its first."
                must reopen what_came_back_survives_a_power_cut [Blocks Crash; PutsSurvivePower HeadsSurvivePower]
                    "A block, a head or a row that was removed and added again survives a power cut within another write."
                must late_cuts put_into_the_next_segment_survives_a_power_cut [Blocks Crash; PutsSurvivePower]
                    "The put that brings the total written by a handle to 1, 2, 4, 8 or 16 MiB, and the put after it, are as durable as its first put."
                must shapes every_kind_of_content_survives_a_power_cut [Blocks Crash; PutsSurvivePower]
                    "Blocks and heads under every kind of CID, blocks that cannot be checked, and rows of every kind survive a power cut within another write."
                must shapes writes_of_every_shape_survive_a_power_cut [Blocks Crash; PutsSurvivePower]
                    "Acknowledged writes of every shape survive a power cut: large and small blocks in one batch, rows that are only deleted, heads that are only superseded."
                must every_cut every_write_makes_an_unsynced_block_durable [Blocks Faults Crash; PutsSurvivePower]
                    "Every way to write, or to require, a present block that was never synced makes it durable before it returns `Ok`."
                must late_cuts batch_of_many_bytes_is_all_or_nothing_after_a_power_cut [Blocks Crash; AtomicPutMany]
                    "If the power is cut at any point of an atomic batch or side-table write of 9 MiB, all of it is present, or nothing, and later writes survive another cut."
                must late_cuts batch_of_many_parts_is_all_or_nothing_after_a_power_cut [Blocks Crash; AtomicPutMany]
                    "If the power is cut at any point of an atomic batch of 1,100 or 3,000 blocks, or side-table write of as many rows, all of it is present, or nothing, and later writes survive another cut."
                must every_cut every_write_that_finds_its_work_done_is_durable [Blocks Faults Crash; PutsSurvivePower]
                    "A write that repeats one whose sync failed is durable once it returns `Ok`, even if it finds nothing left to write."
                must every_cut write_beside_a_waiting_sync_is_durable [Blocks Faults Crash; PutsSurvivePower]
                    "A write that begins during the sync of another write is durable once it returns `Ok`."
                must cumulative ok_covers_what_the_handle_could_read [Blocks Faults Crash; PutsSurvivePower CumulativeDurability]
                    "Once any write has returned `Ok`, even one that had nothing to write, every block, head and row that its handle could read when the write began survives a power cut."
                must every_cut power_cut_in_close_loses_nothing [Store Crash; PutsSurvivePower]
                    "If the power is cut at any point of `close`, everything that was acknowledged is present."
                must every_cut power_cut_while_opening_loses_nothing [Blocks Crash; PutsSurvivePower]
                    "If the power is cut at any point of an open, even of one that recovers, everything that was acknowledged is present."

                must locks opening_without_locks_is_refused [Blocks Faults Locks]
                    "If the medium has no locks, an open for writing is refused with an error that names them. It writes nothing to an existing store, and at a new location at most the folders for its lock."
                must network every_write_over_a_network_is_as_it_says [Blocks Faults Network; PutsSurvive]
                    "If any request of a write loses its answer, is refused or reports a false conflict, the store holds what the outcome says, and the false conflict is not reported to the caller."
                must network every_read_over_a_network_is_right_or_an_error [Blocks Faults Network]
                    "If any request of a read loses its answer or is refused, the read returns the right answer or an error, never an absence."
            }
            driver {
                must driver driver_has_a_name_and_formats [Driver]
                    "A driver has a name that matches `[a-z][a-z0-9_-]*`, and one or more formats without duplicates."
                must driver probe_of_an_empty_place_is_absent [Driver]
                    "`probe` answers `Absent` for an empty location, and creates nothing."
                must driver new_store_is_recognised [Driver]
                    "`probe` answers `Store` for a new store, open or closed. The store names the driver that created it and that driver's first format, and has no strays."
                must driver every_format_can_be_made [Driver]
                    "A store of each format can be created and opened; opening a store with a request for another format is an `InvalidArgument`."
                must driver probe_leaves_foreign_things_alone [Driver]
                    "A file, a folder or a symbolic link that is not a store is `Foreign`, is refused with `NotAStore`, and stays unchanged."
                must driver url_of_nobody_is_foreign [Driver]
                    "A URL whose scheme no driver has is `Foreign` and is refused with `NotAStore`, even with `create`; nothing is created."
                must driver missing_store_is_not_made_unless_asked [Driver]
                    "At an empty location, opening without `create` is `NotAStore`, options that exclude each other are an `InvalidArgument`, and nothing is created."
                must driver create_keeps_the_store_that_is_there [Driver]
                    "`create` opens an existing store and leaves it unchanged; `create_new` refuses it with `InvalidArgument`."
                must driver read_only_store_refuses_writes [Driver]
                    "A store that was opened read-only or leniently refuses every write with `ReadOnly` and can be read, and its files stay unchanged."
                must driver exclusive_store_has_no_other_writer [Driver]
                    "While an exclusive handle is open, opening the store for writing fails with `Locked`, and so does an exclusive open while a writer is open. A driver without locks refuses the writes of an exclusive handle after another handle has written."
                must driver unknown_options_are_refused [Driver]
                    "An option, a value or a format that the driver does not have is an `InvalidArgument` that names it."
                must driver info_counts_what_is_there [Driver]
                    "`info` counts blocks, their bytes, heads and side tables exactly."
                must driver compact_changes_no_content [Driver]
                    "`compact` changes no content, and the store stays usable."
                must driver creators_at_once_make_one_store [Driver]
                    "If several callers create a store at the same moment, and wait for each other, they create one store."
                must driver one_creator_of_a_new_store_made_it [Driver]
                    "If several callers create a store with `create_new` at the same moment, one succeeds; the others are refused with `InvalidArgument`."
                must driver truncated_store_is_no_empty_store [Driver]
                    "A truncated store file is refused, or still holds everything; it never opens as a store with less content."
                must driver raw_scan_finds_what_is_there [Driver]
                    "If a driver has a raw scan, the scan finds every block and head of an intact store, returns only bytes that match their CID, whatever happened to the files, and changes nothing."
            }
        }
    };
}

static LAWS: &[Law] = crate::__conformance_laws!(registry);

/// Every law, in the order of the list.
pub fn laws() -> &'static [Law] {
    LAWS
}

/// The law with this name.
pub fn law(id: &str) -> Option<&'static Law> {
    LAWS.iter().find(|law| law.id == id)
}
