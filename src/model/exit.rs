//! The only place with numbers of exit codes.

/// How the program ends; see the table in the README.
///
/// ```
/// use skufetch::Exit;
///
/// assert_eq!(Exit::Complete.code(), 0);
/// assert_eq!(Exit::TryAgain.code(), 75);
/// assert_eq!(Exit::Signal(2).code(), 130);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Every SKU was fetched.
    Complete,
    /// Published, but some SKUs failed.
    SomeFailed,
    /// The command line is wrong.
    Usage,
    /// The input cannot be read, has no data row, or changed during the run; or the old output cannot be read or
    /// merged.
    Data,
    /// There is no such input.
    NoInput,
    /// The API is unreachable or failing, or too few SKUs succeeded.
    Unavailable,
    /// The output cannot be written; found before the first request.
    CannotCreate,
    /// A disk error during the run, an unusable standard output, or a limit of the system.
    Io,
    /// Locked, deferred or out of time: the same command continues later.
    TryAgain,
    /// The new output is much worse than the old one, which stays.
    HeldBack,
    /// The API rejects the credentials.
    NoPermission,
    /// The config file is wrong.
    Config,
    /// Stopped by this signal.
    Signal(u8),
}

impl Exit {
    /// The exit status (from `sysexits.h` where it defines one).
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::SomeFailed => 1,
            Self::Usage => 2,
            Self::Data => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::CannotCreate => 73,
            Self::Io => 74,
            Self::TryAgain => 75,
            Self::HeldBack => 76,
            Self::NoPermission => 77,
            Self::Config => 78,
            Self::Signal(number) => 128 + number,
        }
    }
}
