//! CSV: a table of the first and last records, fitted to the screen.

mod column;
mod dialect;
mod layout;
mod records;
mod table;

use self::{
    dialect::Dialect,
    layout::{GAP, Slot, Wish, fit_columns},
    records::Row,
    table::{Count, Table},
};
use super::{
    ShowError, ShowOptions,
    sanitise::{columns, counted, fit, grouped, sanitise_bytes},
    screen::{Role, Screen},
    source::Source,
    text,
};
use crate::format::bytes as size;

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
    let most_rows = usize::from(options.height).saturating_sub(4).max(MIN_ROWS);
    let table = Table::read(source, &dialect, (most_rows, most_rows / 2))?;
    if table.width == 0 {
        return text::show(source, options, screen);
    }
    let rows = Shown::of(&table, most_rows);

    let names = names(&table);
    let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, &table)).collect();
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

    let printer = Printer {
        table: &table,
        slots: &slots,
    };
    printer.row(screen, &names, Role::Name)?;
    printer.repeated(screen, "─")?;
    for (i, row) in cells.iter().enumerate() {
        if i == rows.head.len() && rows.has_gap {
            printer.marks(screen)?;
        }
        printer.row(screen, row, Role::Plain)?;
    }
    if rows.has_gap && rows.tail.is_empty() {
        printer.marks(screen)?;
    }
    summary(source, &table, &dialect, screen)?;
    if options.verbose {
        describe(&table, &names, options, screen)?;
    }
    Ok(())
}

/// The records that are shown.
struct Shown<'t> {
    head: &'t [Row],
    tail: &'t [Row],
    /// Whether records are left out between them.
    has_gap: bool,
}

impl<'t> Shown<'t> {
    fn of(table: &'t Table, most: usize) -> Self {
        let all = table.rows == Count::Exactly((table.head.len() + table.tail.len()) as u64);
        if all && table.head.len() + table.tail.len() <= most {
            return Self {
                head: &table.head,
                tail: &table.tail,
                has_gap: false,
            };
        }
        // The mark for what is left out takes a row as well.
        let last = ((most - 1) / 2).min(table.tail.len());
        let first = (most - 1 - last).min(table.head.len());
        Self {
            head: &table.head[..first],
            tail: &table.tail[table.tail.len() - last..],
            has_gap: true,
        }
    }

    fn iter(&self) -> impl Iterator<Item = &'t Row> {
        self.head.iter().chain(self.tail)
    }
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

/// Prints the rows of a table.
struct Printer<'t> {
    table: &'t Table,
    slots: &'t [Slot],
}

impl Printer<'_> {
    fn row(&self, screen: &mut Screen<'_>, cells: &[String], role: Role) -> Result<(), ShowError> {
        self.line(screen, |slot| match slot {
            Slot::Gap => (Role::Note, "…".to_owned()),
            Slot::Column { index, width } => {
                let is_number = self.table.columns[index].values.is_number();
                let role = match role {
                    Role::Plain if is_number => Role::Number,
                    role => role,
                };
                (role, aligned(&fit(&cells[index], width), width, is_number))
            }
        })
    }

    /// A row of one mark in each column, for records that are left out.
    fn marks(&self, screen: &mut Screen<'_>) -> Result<(), ShowError> {
        self.line(screen, |slot| match slot {
            Slot::Gap => (Role::Note, "…".to_owned()),
            Slot::Column { index, width } => {
                let is_number = self.table.columns[index].values.is_number();
                (Role::Note, aligned("…", width, is_number))
            }
        })
    }

    fn repeated(&self, screen: &mut Screen<'_>, mark: &str) -> Result<(), ShowError> {
        self.line(screen, |slot| match slot {
            Slot::Gap => (Role::Note, mark.to_owned()),
            Slot::Column { width, .. } => (Role::Note, mark.repeat(width)),
        })
    }

    fn line(
        &self,
        screen: &mut Screen<'_>,
        cell: impl Fn(Slot) -> (Role, String),
    ) -> Result<(), ShowError> {
        let mut blank = 0;
        for (i, slot) in self.slots.iter().enumerate() {
            let (role, text) = cell(*slot);
            blank += if i == 0 { 0 } else { GAP };
            // No spaces at the end of a line, so that copying it gives what is seen.
            let text_len = text.trim_start_matches(' ');
            blank += text.len() - text_len.len();
            let shown = text_len.trim_end_matches(' ');
            if !shown.is_empty() {
                screen.text(Role::Plain, &" ".repeat(blank))?;
                screen.text(role, shown)?;
                blank = 0;
            }
            blank += text_len.len() - shown.len();
        }
        screen.end_line()
    }
}

fn aligned(text: &str, width: usize, right: bool) -> String {
    let spaces = " ".repeat(width.saturating_sub(columns(text)));
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
    let rows = match table.rows {
        Count::Exactly(rows) => counted(rows, "row"),
        Count::About(rows) => format!("~{}", counted(rows, "row")),
    };
    let width = counted(table.width, "column");
    screen.line(Role::Note, &format!("[{rows} x {width}]"))?;
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
        let name = aligned(&fit(name, name_width), name_width, false);
        screen.text(Role::Name, &name)?;
        screen.text(Role::Plain, &format!("  {:<8}", column.values))?;
        let note = format!("  {missing:>missing_width$} missing");
        screen.line(Role::Note, &note)?;
    }
    Ok(())
}

/// However low the window.
const MIN_ROWS: usize = 6;

/// Columns of a cell on a screen that has room for it.
const MAX_CELL: usize = 100;
