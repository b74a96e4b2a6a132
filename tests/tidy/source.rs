//! Rust files as the rules read them: told apart into code, comments and literals.

/// Files of `src` that only re-export, and programs: no module of the library may import them.
const OUTSIDE: &[&str] = &["lib", "prelude", "bin"];

/// A Rust file. `code` is `text` with every comment, string and character blanked, line for line.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) code: String,
    pub(crate) strings: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, strings) = blank(text);
        Source { path: path.to_owned(), text: text.to_owned(), code, strings }
    }

    pub(crate) fn is_library(&self) -> bool {
        self.path.starts_with("numa/src/") || (self.path.starts_with("src/") && !self.path.starts_with("src/bin/"))
    }

    /// Where `word` stands in the code, other than as part of a longer word.
    pub(crate) fn places(&self, word: &str) -> Vec<usize> {
        let starts = self.code.match_indices(word).map(|(at, _)| at);
        let whole = |&at: &usize| {
            let longer_before = self.code[..at].ends_with(is_word);
            let longer_after = self.code[at + word.len()..].starts_with(is_word);
            !longer_before && (!word.ends_with(is_word) || !longer_after)
        };
        starts.filter(whole).collect()
    }

    pub(crate) fn complaint(&self, at: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, self.code[..at].matches('\n').count() + 1)
    }

    /// A complaint for each place where one of `words` stands in the code.
    pub(crate) fn refuse(&self, words: &[&str], why: &str) -> Vec<String> {
        let places = words.iter().flat_map(|word| self.places(word).into_iter().map(move |at| (at, word)));
        places.map(|(at, word)| self.complaint(at, &format!("`{word}` {why}"))).collect()
    }

    /// The library's module that this file belongs to.
    pub(crate) fn module(&self) -> Option<&str> {
        let first = self.path.strip_prefix("src/")?.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first)).filter(|module| !OUTSIDE.contains(module))
    }

    /// The names of the crate's root that this file says, and where: `crate::name`, `heist_numa`, and `super::name` where
    /// that leads to the root and `is_module` tells it from a name that a `mod tests` takes from around it.
    pub(crate) fn root_names(&self, is_module: impl Fn(&str) -> bool) -> Vec<(usize, &str)> {
        let depth = self.path.matches('/').count() - usize::from(self.path.ends_with("/mod.rs"));
        let after = |prefix: &str| -> Vec<(usize, &str)> {
            let places = self.places(prefix).into_iter();
            places
                .flat_map(|at| heads(&self.code[at + prefix.len()..]).into_iter().map(move |head| (at, head)))
                .collect()
        };
        let mut names = after("crate::");
        names.extend(after(&"super::".repeat(depth)).into_iter().filter(|(_, name)| is_module(name)));
        names.extend(self.places("heist_numa").into_iter().map(|at| (at, "heist_numa")));
        names
    }
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Blanks comments, strings and characters, and hands back the strings.
fn blank(text: &str) -> (String, Vec<String>) {
    let (mut code, mut strings) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if c == '"' {
            let length = string(&code, rest);
            strings.push(rest[1..length].trim_end_matches('#').trim_end_matches('"').to_owned());
            length
        } else if c == '\'' && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'')) {
            up_to(rest, '\'')
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.push(' ');
        code.extend(rest[..length].chars().filter(|&c| c == '\n'));
        rest = &rest[length..];
    }
    (code, strings)
}

/// The length of the block comment that `text` opens with; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..text.len().min(at + 2)] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string that `text` opens with, its closing hashes included; `before` says whether it is raw.
fn string(before: &str, text: &str) -> usize {
    let prefix = before.trim_end_matches('#');
    let raw = |word: &&str| prefix.strip_suffix(*word).is_some_and(|rest| !rest.ends_with(is_word));
    if !["r", "br", "cr"].iter().any(raw) {
        return up_to(text, '"');
    }
    let close = format!("\"{}", &before[prefix.len()..]);
    text[1..].find(&close).map_or(text.len(), |at| 1 + at + close.len())
}

/// The length of the literal that `text` opens with, up to an `end` with no backslash before it.
fn up_to(text: &str, end: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == end {
            return at + 1;
        }
    }
    text.len()
}

/// The first word of each branch of a path: of `a::b` it is `a`, of `{a::{b, c}, d}` they are `a` and `d`.
pub(crate) fn heads(path: &str) -> Vec<&str> {
    let Some(group) = path.strip_prefix('{') else {
        let word = &path[..path.find(|c| !is_word(c)).unwrap_or(path.len())];
        return if word.is_empty() { Vec::new() } else { vec![word] };
    };
    let (mut depth, mut start, mut found) = (1, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            found.extend(heads(group[start..at].trim_start()));
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    found
}

#[test]
fn comments_and_literals_are_no_code() {
    let (code, strings) = blank("a /* b /* c */\n d */ 'e' 'f: \"g \\\" h\" br##\"i \"# j\"## '\\'' k // l\nm");
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "'f:", "br##", "k", "m"]);
    assert_eq!(code.matches('\n').count(), 2);
    assert_eq!(strings, ["g \\\" h", "i \"# j"]);
}
