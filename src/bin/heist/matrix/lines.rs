//! A text file line by line, with numbers for the messages about it.

use std::io::{BufRead, Read};

/// No line of a Matrix Market file is longer than this; the format itself says 1024.
const MAX_LINE: usize = 4096;

/// The lines of a file, counted.
pub(super) struct Lines<R> {
    input: R,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Lines<R> {
        Lines { input, number: 0, line: Vec::new() }
    }

    pub(super) fn next_line(&mut self) -> Result<Option<&str>, String> {
        self.line.clear();
        let mut limited = (&mut self.input).take(MAX_LINE as u64 + 1);
        let read = limited.read_until(b'\n', &mut self.line);
        let length = read.map_err(|error| format!("after line {}: {error}", self.number))?;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        if length > MAX_LINE {
            return Err(self.at(&format!("longer than {MAX_LINE} bytes")));
        }
        match std::str::from_utf8(&self.line) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\n', '\r']))),
            Err(_) => Err(format!("line {}: not text", self.number)),
        }
    }

    /// The next line that is neither blank nor a comment.
    pub(super) fn next_content(&mut self) -> Result<Option<String>, String> {
        while let Some(line) = self.next_line()? {
            let line = line.trim_start();
            if !line.is_empty() && !line.starts_with('%') {
                return Ok(Some(line.to_owned()));
            }
        }
        Ok(None)
    }

    pub(super) fn expect_end(&mut self, announced: usize) -> Result<(), String> {
        match self.next_content()? {
            None => Ok(()),
            Some(_) => Err(self.at(&format!("more than the announced {announced} entries"))),
        }
    }

    pub(super) fn at(&self, reason: &str) -> String {
        format!("line {}: {reason}", self.number)
    }

    pub(super) fn ended(&self, before: &str) -> String {
        format!("the file ends after line {}, before {before}", self.number)
    }
}
