//! Matrix Market files: coordinate or array; real, integer or pattern; general or symmetric; plain or gzip.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::Matrix;
use super::dense::Dense;
use super::lines::Lines;
use super::sparse::Sparse;
use crate::fail::Fail;
use crate::memory::Allowed;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads a whole file; a refusal names the file and, where there is one, the line.
pub(crate) fn read(path: &Path, allowed: Allowed) -> Result<Matrix, Fail> {
    let name = path.display();
    let file = File::open(path).map_err(|error| Fail::new(format!("{name}: {error}")))?;
    let mut plain = BufReader::with_capacity(1 << 16, file);
    let start = plain.fill_buf().map_err(|error| Fail::new(format!("{name}: {error}")))?;
    let read = if start.starts_with(&GZIP) {
        parse(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(plain)), allowed)
    } else {
        parse(plain, allowed)
    };
    read.map_err(|reason| Fail::new(format!("{name}: {reason}")))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Coordinate,
    Array,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Real,
    Integer,
    Pattern,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Symmetry {
    General,
    Symmetric,
}

fn parse(input: impl BufRead, allowed: Allowed) -> Result<Matrix, String> {
    let mut lines = Lines::new(input);
    let (format, field, symmetry) = header(&mut lines)?;
    let Some(size_line) = lines.next_content()? else {
        return Err(lines.ended("the size line"));
    };
    let sizes = size_line.split_whitespace().map(size).collect::<Result<Vec<_>, _>>();
    let sizes = sizes.map_err(|reason| lines.at(&reason))?;
    let (rows, cols, announced) = match (format, sizes.as_slice()) {
        (Format::Coordinate, &[rows, cols, entries]) => (rows, cols, Some(entries)),
        (Format::Array, &[rows, cols]) => (rows, cols, None),
        (Format::Coordinate, _) => return Err(lines.at("expected rows, columns and entries")),
        (Format::Array, _) => return Err(lines.at("expected rows and columns")),
    };
    if rows == 0 || cols == 0 {
        return Err(lines.at("an empty matrix"));
    }
    if symmetry == Symmetry::Symmetric && rows != cols {
        return Err(lines.at(&format!("a symmetric matrix is square, this is {rows} × {cols}")));
    }
    allowed.check_dense(rows, cols).map_err(|refusal| lines.at(&refusal.to_string()))?;
    match announced {
        Some(entries) if entries as u128 > rows as u128 * cols as u128 => {
            Err(lines.at(&format!("announces {entries} entries for {rows} × {cols} places")))
        }
        Some(entries) => coordinates(lines, (rows, cols), entries, field, symmetry),
        None => array(lines, (rows, cols), field, symmetry),
    }
}

fn header(lines: &mut Lines<impl BufRead>) -> Result<(Format, Field, Symmetry), String> {
    const EXPECTED: &str = "expected '%%MatrixMarket matrix <format> <field> <symmetry>'";
    let Some(line) = lines.next_line()? else {
        return Err("the file is empty".to_owned());
    };
    let line = line.to_ascii_lowercase();
    let words: Vec<&str> = line.split_whitespace().collect();
    let &["%%matrixmarket", "matrix", format, field, symmetry] = words.as_slice() else {
        return Err(lines.at(EXPECTED));
    };
    let format = match format {
        "coordinate" => Format::Coordinate,
        "array" => Format::Array,
        other => return Err(lines.at(&format!("format '{other}' is neither coordinate nor array"))),
    };
    let field = match field {
        "real" | "double" => Field::Real,
        "integer" => Field::Integer,
        "pattern" if format == Format::Coordinate => Field::Pattern,
        other => return Err(lines.at(&format!("field '{other}' is not supported for this format"))),
    };
    let symmetry = match symmetry {
        "general" => Symmetry::General,
        "symmetric" => Symmetry::Symmetric,
        other => {
            return Err(lines.at(&format!("symmetry '{other}' is neither general nor symmetric")));
        }
    };
    Ok((format, field, symmetry))
}

fn coordinates(
    mut lines: Lines<impl BufRead>,
    (rows, cols): (usize, usize),
    announced: usize,
    field: Field,
    symmetry: Symmetry,
) -> Result<Matrix, String> {
    let mut places = Places::new(rows, cols, announced);
    for found in 0..announced {
        let Some(line) = lines.next_content()? else {
            return Err(lines.ended(&format!("entry {} of {announced}", found + 1)));
        };
        let mut words = line.split_whitespace();
        let entry = coordinate(&mut words, (rows, cols), field, symmetry);
        let (i, j, v) = entry.map_err(|reason| lines.at(&reason))?;
        places.add(i, j, v);
        if symmetry == Symmetry::Symmetric && i != j {
            places.add(j, i, v);
        }
    }
    lines.expect_end(announced)?;
    Ok(places.into_matrix(rows, cols))
}

/// Entries on their way into a matrix; those at the same place are summed.
enum Places {
    Few(Vec<(usize, usize, f64)>),
    Many(Dense),
}

impl Places {
    /// An entry of a sparse matrix takes three words, so above a sixth of the places the list would be
    /// half as large as the dense form, which the memory check has already allowed.
    fn new(rows: usize, cols: usize, announced: usize) -> Places {
        if announced >= rows * cols / 6 { Places::Many(Dense::zeros(rows, cols)) } else { Places::Few(Vec::new()) }
    }

    fn add(&mut self, i: usize, j: usize, v: f64) {
        match self {
            Places::Few(entries) => entries.push((i, j, v)),
            Places::Many(values) => *values.at_mut(i, j) += v,
        }
    }

    fn into_matrix(self, rows: usize, cols: usize) -> Matrix {
        match self {
            Places::Few(entries) => Matrix::Sparse(Sparse::from_entries(rows, cols, entries)),
            Places::Many(values) => Matrix::Dense(Arc::new(values)),
        }
    }
}

fn coordinate<'a>(
    words: &mut impl Iterator<Item = &'a str>,
    (rows, cols): (usize, usize),
    field: Field,
    symmetry: Symmetry,
) -> Result<(usize, usize, f64), String> {
    let mut place = |what: &str, limit: usize| {
        let word = words.next().ok_or_else(|| format!("no {what}"))?;
        match size(word)? {
            0 => Err(format!("{what} 0: counting starts at 1")),
            index if index > limit => Err(format!("{what} {index} of {limit}")),
            index => Ok(index - 1),
        }
    };
    let (i, j) = (place("row", rows)?, place("column", cols)?);
    if symmetry == Symmetry::Symmetric && i < j {
        return Err("a symmetric file holds the lower triangle, this entry is above it".to_owned());
    }
    let v = match field {
        Field::Pattern => 1.0,
        _ => number(words.next().ok_or("no value")?, field)?,
    };
    match words.next() {
        None => Ok((i, j, v)),
        Some(word) => Err(format!("unexpected '{}' after the entry", shown(word))),
    }
}

fn array(
    mut lines: Lines<impl BufRead>,
    (rows, cols): (usize, usize),
    field: Field,
    symmetry: Symmetry,
) -> Result<Matrix, String> {
    let symmetric = symmetry == Symmetry::Symmetric;
    let announced = if symmetric { rows * (rows + 1) / 2 } else { rows * cols };
    let mut values = Dense::zeros(rows, cols);
    let mut found = 0;
    for j in 0..cols {
        for i in if symmetric { j } else { 0 }..rows {
            found += 1;
            let Some(line) = lines.next_content()? else {
                return Err(lines.ended(&format!("value {found} of {announced}")));
            };
            let v = number(line.trim(), field).map_err(|reason| lines.at(&reason))?;
            *values.at_mut(i, j) = v;
            if symmetric {
                *values.at_mut(j, i) = v;
            }
        }
    }
    lines.expect_end(announced)?;
    Ok(Matrix::Dense(Arc::new(values)))
}

fn size(word: &str) -> Result<usize, String> {
    word.parse().map_err(|_| format!("'{}' is not a whole number", shown(word)))
}

fn number(word: &str, field: Field) -> Result<f64, String> {
    if field == Field::Integer {
        let whole: i64 = word.parse().map_err(|_| format!("'{}' is not an integer", shown(word)))?;
        return Ok(whole as f64);
    }
    match word.parse::<f64>() {
        Ok(v) if v.is_finite() => Ok(v),
        Ok(_) => Err(format!("'{}' is not finite", shown(word))),
        Err(_) => Err(format!("'{}' is not a number", shown(word))),
    }
}

/// A word fit for an error message.
fn shown(word: &str) -> String {
    let start: String = word.chars().take(40).filter(|c| !c.is_control()).collect();
    if word.chars().count() > 40 { start + "…" } else { start }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn parse_text(text: &str) -> Result<Matrix, String> {
        parse(text.as_bytes(), Allowed::from(1 << 20))
    }

    fn dense(text: &str) -> Vec<Vec<f64>> {
        let matrix = parse_text(text).unwrap();
        matrix.dense().view().row_iter().map(|row| row.iter().copied().collect()).collect()
    }

    #[test]
    fn every_supported_kind_is_read() {
        let general =
            dense("%%MatrixMarket matrix coordinate real general\n% note\n\n2 3 3\n1 1 1.5\n 2 3 -2e1 \n2 3 1\n");
        assert_eq!(general, [[1.5, 0.0, 0.0], [0.0, 0.0, -19.0]]);
        let symmetric = dense("%%MatrixMarket MATRIX coordinate integer symmetric\r\n2 2 2\r\n1 1 3\r\n2 1 -4\r\n");
        assert_eq!(symmetric, [[3.0, -4.0], [-4.0, 0.0]]);
        let pattern = dense("%%MatrixMarket matrix coordinate pattern symmetric\n9 9 1\n9 1\n");
        assert_eq!((pattern[8][0], pattern[0][8], pattern[1][1]), (1.0, 1.0, 0.0));
        let array = dense("%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n4");
        assert_eq!(array, [[1.0, 3.0], [2.0, 4.0]]);
        let packed = dense("%%MatrixMarket matrix array integer symmetric\n2 2\n1\n2\n3\n");
        assert_eq!(packed, [[1.0, 2.0], [2.0, 3.0]]);
    }

    #[test]
    fn a_few_entries_stay_sparse_and_many_become_dense() {
        let few = parse_text("%%MatrixMarket matrix coordinate real general\n4 4 1\n1 1 1\n");
        assert!(matches!(few, Ok(Matrix::Sparse(_))));
        let many = parse_text("%%MatrixMarket matrix coordinate real general\n4 4 2\n1 1 1\n1 1 1\n");
        assert!(matches!(many, Ok(Matrix::Dense(_))));
    }

    #[test]
    fn every_fault_is_named_with_its_line() {
        const COORDINATE: &str = "%%MatrixMarket matrix coordinate real general\n";
        const SYMMETRIC: &str = "%%MatrixMarket matrix coordinate real symmetric\n";
        const ARRAY: &str = "%%MatrixMarket matrix array real general\n";
        let long = format!("{COORDINATE}{}\n", "1".repeat(5000));
        let cases: &[(&str, &str, &str)] = &[
            ("", "", "the file is empty"),
            ("%%MatrixMarket vector\n", "", "line 1: expected '%%MatrixMarket matrix <format> <field> <symmetry>'"),
            (
                "%%MatrixMarket matrix coordinate complex general\n",
                "",
                "line 1: field 'complex' is not supported for this format",
            ),
            (
                "%%MatrixMarket matrix array pattern general\n",
                "",
                "line 1: field 'pattern' is not supported for this format",
            ),
            (
                "%%MatrixMarket matrix coordinate real hermitian\n",
                "",
                "line 1: symmetry 'hermitian' is neither general nor symmetric",
            ),
            (COORDINATE, "", "the file ends after line 1, before the size line"),
            (COORDINATE, "2 2\n", "line 2: expected rows, columns and entries"),
            (COORDINATE, "2 -2 1\n", "line 2: '-2' is not a whole number"),
            (COORDINATE, "0 2 0\n", "line 2: an empty matrix"),
            (COORDINATE, "2 2 5\n", "line 2: announces 5 entries for 2 × 2 places"),
            (COORDINATE, "2 2 2\n1 1 1\n", "the file ends after line 3, before entry 2 of 2"),
            (COORDINATE, "2 2 1\n1 1 1\n2 2 1\n", "line 4: more than the announced 1 entries"),
            (COORDINATE, "2 2 1\n3 1 1\n", "line 3: row 3 of 2"),
            (COORDINATE, "2 2 1\n1 0 1\n", "line 3: column 0: counting starts at 1"),
            (COORDINATE, "2 2 1\n1 1 NaN\n", "line 3: 'NaN' is not finite"),
            (COORDINATE, "2 2 1\n1 1 1e999\n", "line 3: '1e999' is not finite"),
            (COORDINATE, "2 2 1\n1 1 one\n", "line 3: 'one' is not a number"),
            (COORDINATE, "2 2 1\n1 1\n", "line 3: no value"),
            (COORDINATE, "2 2 1\n1 1 1 1\n", "line 3: unexpected '1' after the entry"),
            (SYMMETRIC, "2 3 1\n", "line 2: a symmetric matrix is square, this is 2 × 3"),
            (SYMMETRIC, "2 2 1\n1 2 1\n", "line 3: a symmetric file holds the lower triangle, this entry is above it"),
            (ARRAY, "1 2\n1\n", "the file ends after line 3, before value 2 of 2"),
            (ARRAY, "1 1\n1 2\n", "line 3: '1 2' is not a number"),
            (
                ARRAY,
                "1000 1000\n",
                "line 2: a 1000 × 1000 matrix takes 7.6 MiB as dense tiles, more than half of the allowed memory (512.0 KiB of 1.0 MiB)",
            ),
            (&long, "", "line 2: longer than 4096 bytes"),
        ];
        for (head, tail, expected) in cases {
            let refusal = parse_text(&format!("{head}{tail}")).unwrap_err();
            assert_eq!(&refusal, expected);
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        let refusal = parse(&b"%%MatrixMarket \xff\n"[..], Allowed::from(1 << 20)).unwrap_err();
        assert_eq!(refusal, "line 1: not text");
    }

    #[test]
    fn gzip_is_recognised_by_its_content_and_a_cut_is_noticed() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(b"%%MatrixMarket matrix array real general\n1 1\n42\n").unwrap();
        let bytes = packed.finish().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mtx");
        std::fs::write(&path, &bytes).unwrap();
        let whole = read(&path, Allowed::from(1 << 20)).unwrap();
        assert_eq!(whole.dense().at(0, 0), 42.0);
        std::fs::write(&path, &bytes[..bytes.len() - 12]).unwrap();
        let cut = read(&path, Allowed::from(1 << 20)).unwrap_err().to_string();
        assert!(cut.starts_with(&format!("{}: after line ", path.display())), "{cut}");
    }
}
