//! Text for people: as wide as their terminal has room for, in columns.

use heist::numa::CpuSet;

/// Columns of a line where no terminal limits it, as in a pipe.
const PIPE: usize = 100;
/// The columns of a terminal that are used.
const TERMINAL: std::ops::RangeInclusive<usize> = 40..=120;

/// Steps between PUs, from which on only the first and the last are told.
const LONG_RUN: usize = 4;

/// The columns to fill on stdout.
pub(crate) fn width() -> usize {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col).clamp(*TERMINAL.start(), *TERMINAL.end()),
        _ => PIPE,
    }
}

/// `1 core`, `2 cores`.
pub(crate) fn count(number: usize, unit: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

/// Lines of `width` columns: the first starts with `head`, the others are indented as far. A list that is longer than a
/// line is broken behind its commas.
pub(crate) fn wrapped(head: &str, text: &str, width: usize) -> String {
    let indent = columns(head);
    let room = width.saturating_sub(indent).max(16);
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let pieces: Vec<&str> = if columns(word) > room { word.split_inclusive(',').collect() } else { vec![word] };
        for (at, piece) in pieces.into_iter().enumerate() {
            let gap = usize::from(at == 0 && !line.is_empty());
            if !line.is_empty() && columns(&line) + gap + columns(piece) > room {
                lines.push(std::mem::take(&mut line));
            } else {
                line.push_str(&" ".repeat(gap));
            }
            line.push_str(piece);
        }
    }
    lines.push(line);
    format!("{head}{}\n", lines.join(&format!("\n{}", " ".repeat(indent))))
}

/// The text with long lists of PUs that are equally far apart cut down to `0,2,…,62`.
pub(crate) fn abridged(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let (list, end) = word.strip_suffix([';', ':']).map_or((word, ""), |list| (list, &word[list.len()..]));
        match list.parse::<CpuSet>() {
            Ok(pus) if list.contains(',') => abridged_list(&pus) + end,
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn abridged_list(pus: &CpuSet) -> String {
    let pus: Vec<usize> = pus.iter().collect();
    let mut parts = Vec::new();
    let mut at = 0;
    while at < pus.len() {
        let step = pus.get(at + 1).map_or(1, |next| next - pus[at]);
        let run = pus[at..].windows(2).take_while(|pair| pair[1] - pair[0] == step).count();
        let (first, last) = (pus[at], pus[at + run]);
        let taken = match (step, run) {
            (1, 1..) => {
                parts.push(format!("{first}-{last}"));
                run
            }
            (_, LONG_RUN..) => {
                parts.push(format!("{first},{},…,{last}", pus[at + 1]));
                run
            }
            _ => {
                parts.push(first.to_string());
                0
            }
        };
        at += taken + 1;
    }
    parts.join(",")
}

/// Rows below their headings, numbers to the right; the last column, to the left, takes the room that is left.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let last = headings.len() - 1;
    let wide = |column: usize| {
        let cells = rows.iter().map(|row| columns(&row[column]));
        cells.chain([columns(headings[column])]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..last).map(wide).collect();
    let line = |cells: &[&str]| {
        let aligned = widths.iter().zip(cells).map(|(&width, cell)| format!("{cell:>width$}  "));
        wrapped(&aligned.collect::<String>(), cells[last], width)
    };
    let mut text = line(headings);
    for row in rows {
        text.push_str(&line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    text
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_long_lists_behind_commas() {
        assert_eq!(wrapped("plan  ", "one two three four", 16 + 6), "plan  one two three\n      four\n");
        let list = "0,2,4,6,8,10,12,14,16";
        assert_eq!(wrapped("", list, 16), "0,2,4,6,8,10,12,\n14,16\n");
        assert_eq!(wrapped("", &format!("PUs {list} end"), 16), "PUs 0,2,4,6,8,\n10,12,14,16 end\n");
        assert_eq!(wrapped("empty", "", 30), "empty\n");
    }

    #[test]
    fn whatever_the_width_no_word_is_lost() {
        let text = "a list 0-3,8-11,16-19,24-27,32-35 and words of × several – lengths";
        for width in 1..120 {
            let lines = wrapped("> ", text, width);
            let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert_eq!(bare(&lines), bare(&format!("> {text}")));
            assert!(lines.lines().all(|line| columns(line) <= width.max(18)), "{width}: {lines}");
        }
    }

    #[test]
    fn long_lists_are_told_by_their_ends() {
        for (list, told) in [
            ("0,2,4,6,8,10", "0,2,…,10"),
            ("0,2,4,6", "0,2,4,6"),
            ("0-3,8-11", "0-3,8-11"),
            ("0,4,8,12,16,17,18", "0,4,…,16,17-18"),
            ("0-1,4-5,8,10,12,14,16", "0-1,4-5,8,10,…,16"),
            ("1,3,4,5,9,20", "1,3-5,9,20"),
        ] {
            assert_eq!(abridged(&format!("the PUs {list}; 7, and")), format!("the PUs {told}; 7, and"));
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [vec!["0".to_owned(), "16".to_owned(), "0-15".to_owned()], vec!["10".into(), "4".into(), "16".into()]];
        assert_eq!(
            table(&["domain", "cores", "PUs"], &rows, 40),
            "domain  cores  PUs\n     0     16  0-15\n    10      4  16\n"
        );
    }
}
