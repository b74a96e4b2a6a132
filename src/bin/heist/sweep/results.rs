//! The results: a CSV file that grows row by row, and is taken up again where it was left.
//!
//! Every row says what it is the result of, so the file is its own journal. A row is written by one call, its end of line
//! last: what lies after the last end of line is a row that was being written when the program was killed.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord};
use serde::{Deserialize, Serialize};

use super::model::Model;
use super::parameters::{Parameters, Row};
use crate::fail::Fail;
use crate::output::Target;

/// What the rows of a file of results say.
pub(crate) struct Format {
    model: &'static Model,
    steps: u64,
}

/// A result, and what it is the result of.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Solved {
    pub(crate) row: Row,
    /// The observables, then the error.
    pub(crate) observed: Vec<f64>,
}

/// The greatest error so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worst {
    pub(crate) error: f64,
    pub(crate) row: u64,
}

impl Worst {
    /// The worse of the two; an error that is not a number is the worst there is.
    pub(crate) fn or(before: Option<Worst>, row: u64, error: f64) -> Option<Worst> {
        let error = if error.is_nan() { f64::INFINITY } else { error };
        before.filter(|worst| worst.error >= error).or(Some(Worst { error, row }))
    }
}

impl Format {
    pub(crate) fn new(model: &'static Model, steps: u64) -> Format {
        Format { model, steps }
    }

    fn header(&self) -> String {
        let parameters = self.model.parameters.iter().map(|parameter| parameter.name);
        let names: Vec<_> = ["row"].into_iter().chain(parameters).chain(["steps"]).collect();
        let observed: Vec<_> = self.model.observables.iter().copied().chain(["error"]).collect();
        format!("{},{}\n", names.join(","), observed.join(","))
    }

    fn line(&self, to: &mut String, solved: &Solved) {
        // Writing to a string does not fail.
        let _ = write!(to, "{}", solved.row.number);
        solved.row.values.iter().for_each(|value| _ = write!(to, ",{value:?}"));
        let _ = write!(to, ",{}", self.steps);
        solved.observed.iter().for_each(|value| _ = write!(to, ",{value:?}"));
        to.push('\n');
    }

    /// A row that was written by [`line`](Self::line).
    fn parse(&self, record: &StringRecord) -> Option<(Written, f64)> {
        let parameters = self.model.parameters.len();
        if record.len() != parameters + self.model.observables.len() + 3 {
            return None;
        }
        let number: u64 = record[0].parse().ok().filter(|&number| number > 0)?;
        let values: Vec<f64> = record.iter().skip(1).take(parameters).map(|f| f.parse().ok()).collect::<Option<_>>()?;
        let steps: u64 = record[parameters + 1].parse().ok()?;
        let observed: Vec<f64> = record.iter().skip(parameters + 2).map(|f| f.parse().ok()).collect::<Option<_>>()?;
        let error = *observed.last()?;
        Some((Written { number, digest: digest(&values, steps) }, error))
    }
}

struct Written {
    number: u64,
    digest: u64,
}

/// What a result is the result of, in a word that is never 0.
fn digest(values: &[f64], steps: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
    steps.hash(&mut hasher);
    hasher.finish() | 1
}

/// The rows that were there before.
#[derive(Default)]
pub(crate) struct Done {
    /// By row: 0, or the digest of what was swept.
    digests: Vec<u64>,
    pub(crate) rows: u64,
    pub(crate) worst: Option<Worst>,
}

impl Done {
    fn add(&mut self, written: &Written, error: f64, most: usize) -> Result<(), String> {
        let index = usize::try_from(written.number - 1).ok().filter(|&index| index < most);
        let index = index.ok_or_else(|| format!("row {} is more than the parameters have", written.number))?;
        if index >= self.digests.len() {
            self.digests.resize(index + 1, 0);
        }
        if self.digests[index] != 0 {
            return Err(format!("row {} is there twice", written.number));
        }
        self.digests[index] = written.digest;
        self.rows += 1;
        self.worst = Worst::or(self.worst, written.number, error);
        Ok(())
    }

    pub(crate) fn has(&self, row: u64) -> bool {
        self.digest(row) != 0
    }

    fn digest(&self, row: u64) -> u64 {
        usize::try_from(row - 1).ok().and_then(|index| self.digests.get(index)).copied().unwrap_or_default()
    }

    /// The greatest number of a row.
    pub(crate) fn last(&self) -> u64 {
        self.digests.len() as u64
    }

    /// Whether the result that is there, if any, is that of other parameters.
    pub(crate) fn differs(&self, row: &Row, format: &Format) -> bool {
        self.has(row.number) && self.digest(row.number) != digest(&row.values, format.steps)
    }
}

/// Where results go.
pub(crate) struct Results {
    format: Format,
    to: Option<Output>,
    buffer: String,
}

/// A file of results, locked while this lives.
struct Output {
    path: PathBuf,
    file: File,
}

/// A file of results that may be there already; nothing has been changed so far.
pub(crate) struct Place {
    path: PathBuf,
    found: Option<(File, u64)>,
    pub(crate) done: Done,
}

impl Place {
    /// Reads what is there.
    pub(crate) fn probe(path: &Path, format: &Format, parameters: &Parameters) -> Result<Place, Fail> {
        Target::probe(path)?;
        let unwritable = |error| unwritable(path, &error);
        let mut place = Place { path: path.to_path_buf(), found: None, done: Done::default() };
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(place),
            Err(error) => return Err(unwritable(error)),
        };
        let same = |a: &File, b: &File| {
            Ok(a.metadata()?.ino() == b.metadata()?.ino() && a.metadata()?.dev() == b.metadata()?.dev())
        };
        if same(&file, &parameters.file).map_err(unwritable)? {
            return Err(Fail::new(format!("{}: the results would replace the parameters", path.display())));
        }
        lock(path, &file)?;
        let whole = whole_lines(&mut file).map_err(unwritable)?;
        // A row of parameters takes a byte at least.
        let most = usize::try_from(parameters.file.metadata().map_err(unwritable)?.len()).unwrap_or(usize::MAX);
        place.done = read(path, &mut file, whole, format, most)?;
        place.found = Some((file, whole));
        Ok(place)
    }

    /// Cuts off a row that is not whole, or begins the file.
    pub(crate) fn begin(self, format: Format) -> Result<Results, Fail> {
        let Place { path, found, .. } = self;
        let unwritable = |error| unwritable(&path, &error);
        let (mut file, whole) = match found {
            Some(found) => found,
            None => {
                let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(unwritable)?;
                lock(&path, &file)?;
                // Another run may have found it before it was locked, and have come and gone.
                if file.metadata().map_err(unwritable)?.len() > 0 {
                    return Err(busy(&path));
                }
                (file, 0)
            }
        };
        let mut begin = || -> Result<(), io::Error> {
            file.set_len(whole)?;
            file.seek(SeekFrom::End(0))?;
            if whole == 0 {
                file.write_all(format.header().as_bytes())?;
            }
            Ok(())
        };
        begin().map_err(unwritable)?;
        Ok(Results { format, to: Some(Output { path, file }), buffer: String::new() })
    }
}

impl Results {
    /// Results to stdout.
    pub(crate) fn printed(format: Format) -> Result<Results, Fail> {
        let buffer = format.header();
        let mut results = Results { format, to: None, buffer };
        results.flush()?;
        Ok(results)
    }

    /// Writes rows as they are; `false` when nobody reads them any more.
    pub(crate) fn write<'a>(&mut self, solved: impl IntoIterator<Item = &'a Solved>) -> Result<bool, Fail> {
        solved.into_iter().for_each(|solved| self.format.line(&mut self.buffer, solved));
        self.flush()
    }

    fn flush(&mut self) -> Result<bool, Fail> {
        let bytes = self.buffer.as_bytes();
        let written = match &mut self.to {
            Some(to) => to.file.write_all(bytes).map_err(|error| unwritable(&to.path, &error)).map(|()| true),
            None => {
                let mut stdout = io::stdout().lock();
                match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
                    Err(error) => Err(Fail::new(format!("cannot write to stdout: {error}"))),
                    Ok(()) => Ok(true),
                }
            }
        };
        self.buffer.clear();
        written
    }

    /// Sees to it that what was written outlives the host.
    pub(crate) fn finish(self) -> Result<(), Fail> {
        match self.to {
            Some(to) => {
                to.file.sync_all().map_err(|error| unwritable(&to.path, &error))?;
                // Its name too, where the system can do that.
                let folder = to.path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Fail {
    Fail::new(format!("cannot write {}: {error}", path.display()))
}

/// Keeps other runs away. A file system that knows no locks has none to keep.
fn lock(path: &Path, file: &File) -> Result<(), Fail> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(busy(path)),
        _ => Ok(()),
    }
}

fn busy(path: &Path) -> Fail {
    Fail::new(format!("{}: another run is writing to it", path.display()))
}

/// The length up to the last end of line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut block = Vec::new();
    let mut end = file.seek(SeekFrom::End(0))?;
    while end > 0 {
        let start = end.saturating_sub(1 << 16);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        (&mut *file).take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The rows in the first `whole` bytes, numbered up to `most`.
fn read(path: &Path, file: &mut File, whole: u64, format: &Format, most: usize) -> Result<Done, Fail> {
    let shown = path.display();
    let foreign = || {
        Fail::new(format!(
            "{shown}: there already, and not by a sweep of the model {}; remove it or name another --output",
            format.model.name
        ))
    };
    let failed = |error: io::Error| Fail::new(format!("{shown}: {error}"));
    file.rewind().map_err(failed)?;
    if whole == 0 {
        let (header, mut begun) = (format.header(), Vec::new());
        file.take(header.len() as u64).read_to_end(&mut begun).map_err(failed)?;
        return if header.as_bytes().starts_with(&begun) { Ok(Done::default()) } else { Err(foreign()) };
    }
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).quoting(false).from_reader(file.take(whole));
    let mut record = StringRecord::new();
    let mut next =
        |record: &mut StringRecord| reader.read_record(record).map_err(|error| Fail::new(format!("{shown}: {error}")));
    next(&mut record)?;
    if record.iter().collect::<Vec<_>>().join(",") != format.header().trim_end() {
        return Err(foreign());
    }
    let mut done = Done::default();
    while next(&mut record)? {
        let line = record.position().map_or(0, csv::Position::line);
        let (written, error) = format
            .parse(&record)
            .ok_or_else(|| Fail::new(format!("{shown}:{line}: not a row that a sweep of this model writes")))?;
        done.add(&written, error, most).map_err(|reason| Fail::new(format!("{shown}:{line}: {reason}")))?;
    }
    Ok(done)
}
