//! Synonyms: command names of other programs, mapped to ours.

/// The command to suggest for `word`.
pub(crate) fn instead(word: &str) -> Option<&'static str> {
    Some(match word {
        "cat" | "read" | "fetch" => {
            "`mnem-store get CID` writes the bytes of a block, `mnem-store show CID` prints it in readable form"
        }
        "inspect" | "view" | "print" | "dag" | "object" => "`mnem-store show CID` prints a block in readable form",
        "fsck" | "check" | "scrub" | "validate" | "doctor" => "`mnem-store verify` checks a store for damage",
        "repair" | "recover" | "fix" | "rescue" | "salvage" => {
            "`mnem-store verify` lists the damage, `mnem-store copy --salvage FROM TO` copies what is still readable"
        }
        "prune" | "collect" | "clean" | "sweep" => "`mnem-store gc` removes the blocks that no head reaches",
        "vacuum" | "shrink" | "defrag" | "optimize" => "`mnem-store compact` returns free space to the file system",
        "history" | "journal" | "entries" | "commits" => "`mnem-store log` lists the commits to a store in a bucket",
        "tree" | "refs" => "`mnem-store walk` lists the blocks that the heads reach, parents first",
        "info" | "status" | "count" | "du" | "df" | "stats" => "`mnem-store stat` prints counts and sizes",
        "head" | "roots" | "root" | "branch" | "tag" | "tip" | "merge" => {
            "`mnem-store heads` lists or changes the heads"
        }
        "backup" | "clone" | "cp" | "sync" | "push" | "pull" | "move" | "mv" | "mirror" | "migrate" | "convert" => {
            "`mnem-store copy FROM TO` copies a store, `mnem-store export FILE` writes an archive"
        }
        "dump" | "save" | "pack" => "`mnem-store export FILE` writes an archive",
        "load" | "restore" | "unpack" => "`mnem-store import FILE` reads an archive into a store",
        "delete" | "remove" | "del" | "unlink" | "drop" => "`mnem-store rm CID` removes blocks",
        "commit" => {
            "`mnem-store put FILE` stores a block, `mnem-store heads swap NEW --expected OLD` makes it the head"
        }
        "add" | "store" | "write" => "`mnem-store put FILE` stores a block",
        "list" | "keys" | "cids" | "blocks" => "`mnem-store ls` lists all blocks",
        "create" | "new" | "make" => "`mnem-store init` creates an empty store",
        "cmp" | "compare" => "`mnem-store diff A B` lists the differences between two stores",
        "exists" | "contains" => "`mnem-store has CID` tests whether a block is present",
        "index" | "neighbors" | "neighbours" | "similar" | "search" => {
            "`mnem-store knn` builds and reads indexes of nearest neighbours"
        }
        "test" | "selftest" | "self-test" => "`mnem-store conformance` checks a backend on this machine",
        "version" => "`mnem-store --version` prints the version",
        _ => return None,
    })
}

/// As [`instead`], below `heads`.
pub(crate) fn of_heads(word: &str) -> Option<&'static str> {
    Some(match word {
        "list" | "ls" | "show" | "get" | "print" => "`mnem-store heads` lists the heads",
        "add" | "new" | "create" | "put" => "`mnem-store heads update NEW` adds a head",
        "merge" => "`mnem-store heads update NEW --supersedes OLD` adds a head and drops the heads that it supersedes",
        "set" | "replace" | "move" | "reset" | "commit" => {
            "`mnem-store heads swap NEW --expected OLD` replaces all heads"
        }
        "delete" | "remove" | "del" | "drop" | "unlink" => "`mnem-store heads rm OLD` drops a head",
        _ => return None,
    })
}

/// As [`instead`], below `knn`.
pub(crate) fn of_knn(word: &str) -> Option<&'static str> {
    Some(match word {
        "ls" | "indexes" => "`mnem-store knn list` lists the indexes",
        "get" | "cat" | "info" | "stat" | "inspect" | "view" => "`mnem-store knn show CID` describes an index",
        "add" | "create" | "new" | "make" | "put" | "derive" | "rebuild" => {
            "`mnem-store knn build --vectors FILE` builds an index"
        }
        "search" | "query" | "find" | "near" | "neighbours" | "neighbor" => {
            "`mnem-store knn neighbors CID NODE` lists the nearest neighbours of a node"
        }
        "delete" | "remove" | "del" | "drop" | "unlink" => "`mnem-store knn rm CID` removes an index",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn each_answer_names_a_command_and_no_command_is_answered() {
        let program = Cli::command();
        let source = include_str!("common_words.rs");
        let (table, _) = source.split_once("_ => return None").expect("the table");
        let words: Vec<&str> = table
            .lines()
            .filter_map(|line| Some(line.split_once(" => ")?.0))
            .flat_map(|words| words.split('"').skip(1).step_by(2))
            .collect();
        assert!(words.len() > 50, "{words:?}");
        for word in words {
            assert!(program.find_subcommand(word).is_none(), "{word} is a command");
            let answer = instead(word).expect("an answer");
            for typed in answer.split("`mnem-store ").skip(1) {
                let command = typed.split([' ', '`']).next().expect("a word");
                assert!(command == "--version" || program.find_subcommand(command).is_some(), "{word}: {answer}");
            }
        }
        assert_eq!(instead("frobnicate"), None);
    }

    #[test]
    fn words_below_a_command_are_answered_with_what_is_below_it() {
        let program = Cli::command();
        let source = include_str!("common_words.rs");
        for (parent, answer) in [("heads", of_heads as fn(&str) -> Option<&'static str>), ("knn", of_knn)] {
            let (_, table) = source.split_once(&format!("fn of_{parent}(")).expect("the table");
            let (table, _) = table.split_once("_ => return None").expect("its end");
            let words = table.lines().filter_map(|line| Some(line.split_once(" => ")?.0));
            let words: Vec<&str> = words.flat_map(|words| words.split('"').skip(1).step_by(2)).collect();
            assert!(words.len() > 10, "{words:?}");
            let below = program.find_subcommand(parent).expect("the command");
            for word in words {
                assert!(below.find_subcommand(word).is_none(), "{word} is a command");
                let answer = answer(word).expect("an answer");
                let (_, typed) = answer.split_once(&format!("`mnem-store {parent}")).expect("the command");
                let command = typed.trim_start().split([' ', '`']).next().expect("a word");
                assert!(command.is_empty() || below.find_subcommand(command).is_some(), "{word}: {answer}");
            }
        }
    }
}
