//! The parts of Markdown that the guards need: fenced blocks, prose, headings.

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// The line number of its fence, from 1.
    pub(super) line: usize,
    /// The text after the fence.
    pub(super) info: &'a str,
    pub(super) lines: Vec<&'a str>,
}

/// A parsed document.
#[derive(Debug, Default)]
pub(super) struct Markdown<'a> {
    pub(super) blocks: Vec<Block<'a>>,
    /// Lines outside blocks, with their numbers.
    pub(super) prose: Vec<(usize, &'a str)>,
}

impl<'a> Markdown<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut found = Self::default();
        let mut open: Option<(&str, Block<'a>)> = None;
        for (number, line) in text.lines().enumerate() {
            let trimmed = line.trim_start();
            open = match open {
                Some((fence, block)) if trimmed.trim_end() == fence => {
                    found.blocks.push(block);
                    None
                }
                Some((fence, mut block)) => {
                    block.lines.push(line);
                    Some((fence, block))
                }
                None if trimmed.starts_with("```") => {
                    let info = trimmed.trim_start_matches('`');
                    let fence = &trimmed[..trimmed.len() - info.len()];
                    Some((fence, Block { line: number + 1, info: info.trim(), lines: Vec::new() }))
                }
                None => {
                    found.prose.push((number + 1, line));
                    None
                }
            };
        }
        found.blocks.extend(open.map(|(_, block)| block));
        found
    }

    /// The anchors of its headings, derived from their words.
    pub(super) fn anchors(&self) -> Vec<String> {
        let headings = self.prose.iter().filter_map(|(_, line)| line.strip_prefix('#'));
        headings.map(|heading| anchor(heading.trim_start_matches('#'))).collect()
    }
}

fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    heading.trim().to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_prose_are_told_apart() {
        let text = "# One: two\n```console,ignore\n$ a\n```\nprose\n````md\n```\n````\nend";
        let markdown = Markdown::of(text);
        assert_eq!(markdown.prose, [(1, "# One: two"), (5, "prose"), (9, "end")]);
        assert_eq!(markdown.blocks[0], Block { line: 2, info: "console,ignore", lines: vec!["$ a"] });
        assert_eq!(markdown.blocks[1], Block { line: 6, info: "md", lines: vec!["```"] });
        assert_eq!(markdown.anchors(), ["one-two"]);
        assert_eq!(anchor(" A real client's `calls`"), "a-real-clients-calls");
    }
}
