//! Small files of one value, as `sysfs` and control groups have them.
//!
//! A file that cannot be read counts as missing: containers hide parts of `/sys` in many ways, and
//! every reader has an answer for a missing file. A file that can be read must make sense.

use std::{fs, path::Path};

use crate::{
    CpuSet,
    error::{Error, Kind},
};

/// The trimmed text of a file; `None` when missing or blank. Some kernels count the terminating NUL of
/// a list or map into the file.
pub(crate) fn text(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// The value of a file that `parse` reads and `form` describes; `None` when missing or blank.
pub(crate) fn value<T>(
    path: &Path,
    form: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Error> {
    let Some(text) = text(path) else {
        return Ok(None);
    };
    match parse(&text) {
        Some(value) => Ok(Some(value)),
        None => Err(Kind::File { path: path.to_owned(), text, form }.into()),
    }
}

/// The set in the list file `list` of `dir`, else in its map twin; `None` when both are missing or
/// empty. Old kernels have only maps, and some leave the list empty beside a map that is not.
pub(crate) fn set(dir: &Path, list: &str, map: &str) -> Result<Option<CpuSet>, Error> {
    if let Some(set) = value(&dir.join(list), "a CPU list", |text| text.parse().ok())? {
        return Ok(Some(set));
    }
    let set = value(&dir.join(map), "a CPU map", |text| CpuSet::from_hex_map(text).ok())?;
    Ok(set.filter(|set| !set.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Host;

    #[test]
    fn an_empty_list_gives_way_to_its_map() {
        let host = Host::new();
        host.write("d/list", "\n").write("d/map", "00000000,00000006\n");
        host.write("zero/list", "").write("zero/map", "0\n");
        let read = |dir: &str| set(&host.root().join(dir), "list", "map").unwrap();
        assert_eq!(read("d").unwrap().to_string(), "1-2");
        assert_eq!(read("zero"), None);
        assert_eq!(read("absent"), None);
    }

    #[test]
    fn a_terminating_nul_is_no_content() {
        let host = Host::new();
        host.write("d/list", "0-3\n\0").write("nul/list", "\n\0").write("nul/map", "0,00000010\n\0");
        let read = |dir: &str| set(&host.root().join(dir), "list", "map").unwrap();
        assert_eq!(read("d").unwrap().to_string(), "0-3");
        assert_eq!(read("nul").unwrap().to_string(), "4");
    }

    #[test]
    fn an_odd_file_is_named() {
        let host = Host::new();
        host.write("d/list", "0-x\n");
        let error = set(&host.root().join("d"), "list", "map").unwrap_err();
        assert!(error.is_syntax());
        let message = error.to_string();
        assert!(message.contains("d/list") && message.contains("`0-x`"), "{message}");
    }
}
