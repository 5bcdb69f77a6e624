//! How does what a command found reach standard output, for people and for programs?

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use clap::ValueEnum;
use miette::GraphicalTheme;
use serde::Serialize;

use crate::failure::Outcome;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns.
    Human,
    /// One JSON object a line.
    Json,
}

/// Something that is printed as a line of a table, or as a JSON object.
pub trait Row: Serialize {
    /// The columns' heads.
    const HEAD: &'static [&'static str];

    /// The columns, for people.
    fn cells(&self) -> Vec<String>;
}

/// Whether this stream shows colours: a terminal that has them, whose user has not said no. <https://no-color.org>: what
/// NO_COLOR says counts for nothing, only that it says something.
pub fn is_coloured(stream: &impl IsTerminal) -> bool {
    let says = |name| std::env::var_os(name).unwrap_or_default();
    stream.is_terminal() && says("NO_COLOR").is_empty() && says("TERM") != "dumb"
}

/// Standard output. Its failures end the command: see [`Failure::Closed`](crate::failure::Failure::Closed).
pub struct Output {
    format: Format,
    stdout: BufWriter<Stdout>,
}

impl Output {
    pub fn new(format: Format) -> Self {
        Self {
            format,
            stdout: BufWriter::new(io::stdout()),
        }
    }

    /// How excerpts are drawn here.
    pub fn theme(&self) -> GraphicalTheme {
        let stdout = self.stdout.get_ref();
        match (stdout.is_terminal(), is_coloured(stdout)) {
            (_, true) => GraphicalTheme::unicode(),
            (true, false) => GraphicalTheme::unicode_nocolor(),
            (false, false) => GraphicalTheme::none(),
        }
    }

    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// A table, or an object for each row. No rows are no output: that is not an error.
    pub fn rows<R: Row>(&mut self, rows: &[R]) -> Outcome {
        if self.is_json() {
            return rows.iter().try_for_each(|row| self.json(row));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let head = R::HEAD.iter().map(|&name| name.into()).collect();
        let table: Vec<Vec<String>> = [head]
            .into_iter()
            .chain(rows.iter().map(R::cells))
            .collect();
        self.table(&table)
    }

    /// One object, on a line.
    pub fn json(&mut self, value: &impl Serialize) -> Outcome {
        serde_json::to_writer(&mut self.stdout, value).map_err(io::Error::from)?;
        writeln!(self.stdout)?;
        Ok(())
    }

    /// A line of text, as it is.
    pub fn line(&mut self, text: &str) -> Outcome {
        writeln!(self.stdout, "{text}")?;
        Ok(())
    }

    /// Hands over what was printed so far, while the command goes on.
    pub fn flush(&mut self) -> Outcome {
        Ok(self.stdout.flush()?)
    }

    /// Hands over the rest.
    pub fn finish(mut self) -> Outcome {
        self.flush()
    }

    /// Columns as wide as their widest cell; numbers stand to the right.
    fn table(&mut self, table: &[Vec<String>]) -> Outcome {
        let columns = table.first().map_or(0, Vec::len);
        let cells = |column: usize| table.iter().map(move |row| row[column].as_str());
        let width = |column| cells(column).map(width).max().unwrap_or(0);
        let is_number = |cell: &str| cell.bytes().all(|byte| byte.is_ascii_digit());
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let numbers: Vec<bool> = (0..columns)
            .map(|column| cells(column).skip(1).all(is_number))
            .collect();
        for row in table {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let cell = clean(cell);
                let pad = " ".repeat(widths[column] - cell.chars().count());
                let (before, behind) = if numbers[column] {
                    (pad, String::new())
                } else {
                    (String::new(), pad)
                };
                line += &format!("{before}{cell}{behind}  ");
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }
}

fn width(cell: &str) -> usize {
    clean(cell).chars().count()
}

/// A name that somebody else chose, without what would move the cursor, colour the terminal or hide text.
pub fn clean(text: &str) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if hides(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Says something that is not what was asked for, on standard error. Nobody may be there to read it.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "logpipe: {text}");
}

/// `1 file`, `2 files`
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
