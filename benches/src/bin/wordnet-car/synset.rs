//! One line of WordNet's data files, as its `wndb(5WN)` describes it.

/// A part of speech (adjective satellites count as adjectives) and an offset into its file.
pub(crate) type Key = (char, u32);

/// A set of words that mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Synset {
    pub(crate) key: Key,
    pub(crate) lemmas: Vec<String>,
    pub(crate) gloss: String,
    /// What it is a kind of, or an instance of.
    pub(crate) hypernyms: Vec<Key>,
    /// All other relations: the symbol, and to which synset.
    pub(crate) others: Vec<(String, Key)>,
}

impl Synset {
    /// As in the small archive: the part of speech and eight digits.
    pub(crate) fn name(&self) -> String {
        let (part, offset) = self.key;
        format!("{part}{offset:08}")
    }
}

fn key(part: &str, offset: &str) -> Option<Key> {
    let part = if part == "s" { 'a' } else { part.chars().next()? };
    Some((part, offset.parse().ok()?))
}

/// `None` for what is no such line.
pub(crate) fn parse(line: &str) -> Option<Synset> {
    let (fields, gloss) = line.split_once(" | ")?;
    let mut fields = fields.split(' ');
    let offset = fields.next()?;
    let _lexicographer_file = fields.next()?;
    let key_here = key(fields.next()?, offset)?;
    let words = usize::from_str_radix(fields.next()?, 16).ok()?;
    let mut lemmas = Vec::new();
    for _ in 0..words {
        lemmas.push(fields.next()?.replace('_', " "));
        fields.next()?;
    }
    let pointers: usize = fields.next()?.parse().ok()?;
    let (mut hypernyms, mut others) = (Vec::new(), Vec::new());
    for _ in 0..pointers {
        let (symbol, offset, part) = (fields.next()?, fields.next()?, fields.next()?);
        let _which_words = fields.next()?;
        let to = key(part, offset)?;
        if symbol == "@" || symbol == "@i" { hypernyms.push(to) } else { others.push((symbol.to_owned(), to)) }
    }
    Some(Synset { key: key_here, lemmas, gloss: gloss.trim().to_owned(), hypernyms, others })
}
