//! The parameters: a CSV file, read row by row as often as is needed, and what is wrong with a row of it.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str;

use csv::{ByteRecord, Reader, ReaderBuilder, Trim};
use serde::{Deserialize, Serialize};

use super::model::Model;
use crate::fail::Fail;

/// A file of parameters whose header fits the model.
pub(crate) struct Parameters {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    model: &'static Model,
    /// For each parameter of the model, its column.
    columns: Vec<usize>,
    width: usize,
}

/// A row of parameters.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Counted from 1, the header and empty lines left out.
    pub(crate) number: u64,
    pub(crate) values: Vec<f64>,
}

/// Why a row cannot be used.
pub(crate) struct Bad(String);

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Parameters {
    /// Opens the file and reads its header.
    pub(crate) fn open(path: &Path, model: &'static Model) -> Result<Parameters, Fail> {
        let unreadable = |error| Fail::new(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(Fail::new(format!("{}: not a regular file", path.display())));
        }
        let mut header = ByteRecord::new();
        let found = reader(&file).read_byte_record(&mut header).map_err(|error| unreadable(error.into()))?;
        if !found {
            return Err(Fail::new(format!("{}: empty; {}", path.display(), model.takes())));
        }
        let mut lines = Lines::new();
        let line = lines.at(&file, start_of(&header)).map_err(unreadable)?;
        let place = format!("{}:{line}", path.display());
        let columns =
            columns(&header, model).map_err(|what| Fail::new(format!("{place}: {what}; {}", model.takes())))?;
        Ok(Parameters { path: path.to_path_buf(), file, model, columns, width: header.len() })
    }

    /// All rows, from the first.
    pub(crate) fn rows(&self) -> Result<Rows<'_>, Fail> {
        let mut file = &self.file;
        file.rewind().map_err(|error| self.unreadable(&error.into()))?;
        let mut reader = reader(file);
        let mut record = ByteRecord::new();
        reader.read_byte_record(&mut record).map_err(|error| self.unreadable(&error))?;
        Ok(Rows { parameters: self, reader, start: start_of(&record), record, number: 0, lines: Lines::new() })
    }

    fn row(&self, record: &ByteRecord, number: u64) -> Result<Row, Bad> {
        if record.len() != self.width {
            return Err(Bad(format!("{} fields, where the header has {}", record.len(), self.width)));
        }
        let value = |(parameter, &column): (&super::model::Parameter, &usize)| {
            let field = str::from_utf8(&record[column]).unwrap_or("\u{fffd}");
            let refusal = match field.parse() {
                Ok(value) => match parameter.refuse(value) {
                    None => return Ok(value),
                    Some(_) if !value.is_finite() => "is not finite".to_owned(),
                    Some(reason) => reason,
                },
                Err(_) => "is not a number".to_owned(),
            };
            Err(Bad(format!("column {} ({}): '{field}' {refusal}", column + 1, parameter.name)))
        };
        let values = self.model.parameters.iter().zip(&self.columns).map(value).collect::<Result<_, _>>()?;
        Ok(Row { number, values })
    }

    fn unreadable(&self, error: &csv::Error) -> Fail {
        Fail::new(format!("{}: {error}", self.path.display()))
    }
}

/// The rows of a file, one at a time.
pub(crate) struct Rows<'a> {
    parameters: &'a Parameters,
    reader: Reader<&'a File>,
    record: ByteRecord,
    /// Where the last record starts, or empty lines before it.
    start: u64,
    number: u64,
    lines: Lines,
}

impl Rows<'_> {
    /// The next row, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<Result<Row, Bad>>, Fail> {
        let found = self.reader.read_byte_record(&mut self.record);
        if !found.map_err(|error| self.parameters.unreadable(&error))? {
            return Ok(None);
        }
        self.number += 1;
        self.start = start_of(&self.record);
        Ok(Some(self.parameters.row(&self.record, self.number)))
    }

    /// The line of the last row.
    pub(crate) fn line(&mut self) -> Result<u64, Fail> {
        let line = self.lines.at(&self.parameters.file, self.start);
        line.map_err(|error| self.parameters.unreadable(&error.into()))
    }
}

fn reader(file: &File) -> Reader<&File> {
    ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(file)
}

fn start_of(record: &ByteRecord) -> u64 {
    record.position().map_or(0, csv::Position::byte)
}

/// Lines counted up to a place, on demand. The reader's own count is that of the empty lines it has skipped.
struct Lines {
    byte: u64,
    line: u64,
}

impl Lines {
    fn new() -> Lines {
        Lines { byte: 0, line: 1 }
    }

    /// The line of the record that starts at `byte`, or after the empty lines that do; it lies behind the last one asked for.
    fn at(&mut self, file: &File, byte: u64) -> io::Result<u64> {
        let mut block = [0; 1 << 13];
        loop {
            let read = file.read_at(&mut block, self.byte)?;
            for &found in &block[..read] {
                if self.byte >= byte && !matches!(found, b'\n' | b'\r') {
                    return Ok(self.line);
                }
                self.byte += 1;
                self.line += u64::from(found == b'\n');
            }
            if read == 0 {
                return Ok(self.line);
            }
        }
    }
}

/// For each parameter of the model, its column; else what is wrong with the header.
fn columns(header: &ByteRecord, model: &Model) -> Result<Vec<usize>, String> {
    let names: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
    for (column, name) in names.iter().enumerate() {
        if !model.parameters.iter().any(|parameter| parameter.name == name) {
            return Err(format!("column {}: '{name}' is no parameter", column + 1));
        }
        if names[..column].contains(name) {
            return Err(format!("column {}: '{name}' is there already", column + 1));
        }
    }
    let column = |parameter: &super::model::Parameter| {
        let found = names.iter().position(|name| name == parameter.name);
        found.ok_or_else(|| format!("no column '{}'", parameter.name))
    };
    model.parameters.iter().map(column).collect()
}
