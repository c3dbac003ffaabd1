//! Which cells of a row filters use, by the names of their columns.

/// The columns of `$row`, each with its place in a row.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct RowCells(Vec<(String, usize)>);

/// Which columns filters use.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum RowUse {
    /// None.
    #[default]
    Nothing,
    /// These, as `$row.price` and `$row["price"]` name them.
    Columns(Vec<String>),
    /// The filter does not show which: it uses `$row` as a whole.
    All,
}

impl RowUse {
    /// What two filters use together.
    #[must_use]
    pub(crate) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Nothing, used) | (used, Self::Nothing) => used,
            (Self::Columns(mut names), Self::Columns(others)) => {
                for name in others {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                Self::Columns(names)
            }
        }
    }
}

impl RowCells {
    /// The columns that are used of these, the columns of the input. Of several with one name the first counts.
    #[must_use]
    pub(crate) fn of(used: &RowUse, columns: &[String]) -> Self {
        let mut cells: Vec<(String, usize)> = Vec::new();
        for (column, name) in columns.iter().enumerate() {
            let is_used = match used {
                RowUse::Nothing => false,
                RowUse::Columns(names) => names.contains(name),
                RowUse::All => true,
            };
            if is_used && cells.iter().all(|(other, _)| other != name) {
                cells.push((name.clone(), column));
            }
        }
        Self(cells)
    }

    /// Each name, and its place in a row.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|(name, column)| (name.as_str(), *column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> RowUse {
        RowUse::Columns(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn what_filters_use_together_is_each_column_once_or_the_whole_row() {
        assert_eq!(columns(&["a", "b"]).with(columns(&["b", "c"])), columns(&["a", "b", "c"]));
        assert_eq!(columns(&["a"]).with(RowUse::Nothing), columns(&["a"]));
        assert_eq!(RowUse::Nothing.with(columns(&["a"])), columns(&["a"]));
        assert_eq!(columns(&["a"]).with(RowUse::All), RowUse::All);
    }

    #[test]
    fn of_several_columns_with_one_name_the_first_counts() {
        let names = ["sku", "a", "a", "b"].map(str::to_owned);
        let of = |used: &RowUse| RowCells::of(used, &names).0;
        assert_eq!(of(&columns(&["a", "z"])), [("a".to_owned(), 1)]);
        assert_eq!(of(&RowUse::All), [("sku".to_owned(), 0), ("a".to_owned(), 1), ("b".to_owned(), 3)]);
        assert!(of(&RowUse::Nothing).is_empty());
    }
}
