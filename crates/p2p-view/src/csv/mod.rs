//! CSV: a table of the first and last records, fitted to the screen.

mod column;
mod dialect;
mod layout;
mod records;
mod table;

use self::{
    dialect::Dialect,
    layout::{GAP, Slot, Wish, fit_columns},
    records::{Records, Row},
    table::Table,
};
use super::{
    Rows, ShowError, ShowOptions,
    sanitise::{columns, fit, sanitise_bytes},
    screen::{Role, Screen},
    source::Source,
    text,
};
use crate::format::{bytes as size, counted, grouped};

/// Whether a text without a name that says so is a table: several records of two fields or more,
/// all of as many.
pub(super) fn looks_like(sample: &[u8], is_all: bool) -> bool {
    let found = Dialect::of(sample, is_all);
    found.columns >= 2 && found.percent == 100 && found.records >= 3
}

/// Prints a CSV file.
pub(super) fn show(
    source: &Source,
    options: &ShowOptions,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    let dialect = Dialect::of(&source.head_text(), source.head_is_all());
    // The header, the rule below it, the counts, and the prompt that follows take a row each.
    let fitting = usize::from(options.height).saturating_sub(4).max(MIN_ROWS);
    let most_rows = options.rows_or(fitting).clamp(2, MAX_ROWS);
    let is_all = options.rows == Rows::All;
    let (text, is_part) = source.text_up_to(match source.len() {
        _ if is_all => ALL_LIMIT,
        0..=SCAN_LIMIT => MAX_TEXT,
        _ => HEAD_LIMIT,
    })?;
    let table = Table::read(source, &text, is_part, &dialect, most_rows)?;
    if table.width == 0 {
        return text::show(source, options, screen);
    }

    let names = names(&table);
    let cells: Vec<Vec<String>> = (table.head.iter().chain(&table.tail))
        .map(|row| cells(row, &table))
        .collect();
    let wishes: Vec<Wish> = (0..table.columns.len())
        .map(|i| {
            let texts = std::iter::once(&names[i]).chain(cells.iter().map(|row| &row[i]));
            Wish {
                width: texts.map(|it| columns(it)).max().unwrap_or(0),
                is_number: table.columns[i].values.is_number(),
            }
        })
        .collect();
    let more = table.width - table.columns.len() as u64;
    let slots = fit_columns(&wishes, more, usize::from(options.width));

    let is_number = |index: usize| wishes[index].is_number;
    let row = |screen: &mut Screen<'_>, row: &[String]| {
        line(screen, &slots, "…", |index, width| {
            let role = if is_number(index) {
                Role::Number
            } else {
                Role::Plain
            };
            (role, aligned(&row[index], width, is_number(index)))
        })
    };
    // One mark in each column, for records that are left out.
    let gap = |screen: &mut Screen<'_>| {
        line(screen, &slots, "…", |index, width| {
            (Role::Note, aligned("…", width, is_number(index)))
        })
    };
    line(screen, &slots, "…", |index, width| {
        (Role::Name, aligned(&names[index], width, is_number(index)))
    })?;
    line(screen, &slots, "─", |_, width| {
        (Role::Note, "─".repeat(width))
    })?;
    if is_all {
        // The widths are those of the records that were kept; all are read again.
        let (mut records, mut record) = (Records::new(&text, dialect.delimiter), Row::default());
        if table.header.is_some() {
            records.next(&mut record);
        }
        while records.next(&mut record) {
            row(screen, &self::cells(&record, &table))?;
        }
    }
    let (head, tail) = cells.split_at(table.head.len());
    if !is_all {
        head.iter().try_for_each(|it| row(screen, it))?;
    }
    if is_part || (table.has_gap && !is_all) {
        gap(screen)?;
    }
    if is_part || !is_all {
        tail.iter().try_for_each(|it| row(screen, it))?;
    }
    summary(source, &table, &dialect, screen)?;
    if options.verbose {
        describe(&table, &names, options, screen)?;
    }
    Ok(())
}

/// The columns' names; where the file has none, their numbers.
fn names(table: &Table) -> Vec<String> {
    match &table.header {
        Some(header) => cells(header, table),
        None => (1..=table.columns.len()).map(|i| i.to_string()).collect(),
    }
}

/// The fields of a record as they are shown.
fn cells(row: &Row, table: &Table) -> Vec<String> {
    let cell = |i| {
        let (field, cut) = row.field(i);
        let mark = if cut { "…" } else { "" };
        // A cut may leave a part of a character.
        let field = match field.utf8_chunks().last() {
            Some(chunk) if cut => &field[..field.len() - chunk.invalid().len()],
            _ => field,
        };
        let text = format!("{}{mark}", sanitise_bytes(field.trim_ascii()));
        fit(&text, MAX_CELL).into_owned()
    };
    (0..table.columns.len()).map(cell).collect()
}

/// Prints a line of a table: for each column what `cell` gives for its index and width, for columns
/// that are left out a mark.
fn line(
    screen: &mut Screen<'_>,
    slots: &[Slot],
    gap: &str,
    cell: impl Fn(usize, usize) -> (Role, String),
) -> Result<(), ShowError> {
    let cells = slots.iter().map(|slot| match *slot {
        Slot::Gap => (Role::Note, gap.to_owned()),
        Slot::Column { index, width } => cell(index, width),
    });
    let mut cells: Vec<(Role, String)> = cells.collect();
    // No spaces at the end of a line, so that copying it gives what is seen.
    while let Some((_, last)) = cells.last_mut() {
        last.truncate(last.trim_end_matches(' ').len());
        if !last.is_empty() {
            break;
        }
        cells.pop();
    }
    for (i, (role, text)) in cells.iter().enumerate() {
        screen.text(Role::Plain, &" ".repeat(if i == 0 { 0 } else { GAP }))?;
        screen.text(*role, text)?;
    }
    screen.end_line()
}

/// A text in a column of this width, cut if it is wider.
fn aligned(text: &str, width: usize, right: bool) -> String {
    let text = fit(text, width);
    let spaces = " ".repeat(width.saturating_sub(columns(&text)));
    if right {
        format!("{spaces}{text}")
    } else {
        format!("{text}{spaces}")
    }
}

/// Says how large the table is, and what is odd about it.
fn summary(
    source: &Source,
    table: &Table,
    dialect: &Dialect,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    let about = if table.read.is_some() { "~" } else { "" };
    let (rows, width) = (counted(table.rows, "row"), counted(table.width, "column"));
    screen.line(Role::Note, &format!("[{about}{rows} x {width}]"))?;
    if table.ragged > 0 {
        let note = format!(
            "[{} with more or fewer than {} fields]",
            counted(table.ragged, "row"),
            grouped(dialect.columns)
        );
        screen.line(Role::Warning, &note)?;
    }
    if table.open_quote {
        screen.line(Role::Warning, "[a quotation is open at the end]")?;
    }
    if let Some(read) = table.read {
        let (read, all) = (size(read), size(source.len()));
        let note = format!("[the first {read} and the end of {all} were read]");
        screen.line(Role::Note, &note)?;
    }
    Ok(())
}

/// Prints a line for each column: its name, what is in it, how many values are missing.
fn describe(
    table: &Table,
    names: &[String],
    options: &ShowOptions,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    let missing: Vec<String> = table.columns.iter().map(|it| grouped(it.missing)).collect();
    let missing_width = missing.iter().map(String::len).max().unwrap_or(0);
    let widest = names.iter().map(|it| columns(it)).max().unwrap_or(0);
    // The type takes eight columns, the word after the number nine, and two gaps.
    let others = 8 + missing_width + 9 + 2 * GAP;
    let name_width = widest.min(usize::from(options.width).saturating_sub(others).max(8));
    for (i, column) in table.columns.iter().enumerate() {
        let missing = &missing[i];
        let number = (i + 1).to_string();
        let name = if names[i].is_empty() {
            &number
        } else {
            &names[i]
        };
        let name = aligned(name, name_width, false);
        screen.text(Role::Name, &name)?;
        screen.text(Role::Plain, &format!("  {:<8}", column.values))?;
        let note = format!("  {missing:>missing_width$} missing");
        screen.line(Role::Note, &note)?;
    }
    Ok(())
}

/// Up to this size a file is read whole, which takes well under a second; of a larger one the
/// beginning and the end are.
const SCAN_LIMIT: u64 = 32 << 20;

/// Bytes of text in a file that is read whole: UTF-16 may grow by half when it becomes UTF-8.
const MAX_TEXT: usize = 48 << 20;

/// How much is read of the beginning of a larger file.
const HEAD_LIMIT: usize = 4 << 20;

/// How much is read if all is to be shown, which its owner asked for.
const ALL_LIMIT: usize = 1 << 30;

/// Records that are kept to be shown, or to see how wide the columns are.
const MAX_ROWS: usize = 10_000;

/// However low the window.
const MIN_ROWS: usize = 6;

/// Columns of a cell on a screen that has room for it.
const MAX_CELL: usize = 100;
