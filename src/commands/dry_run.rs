//! `skufetch INPUT --dry-run`: a run up to its first request, which leaves no trace.
//!
//! The same checks are made as in a run, in the same order (`checks`), so that what would end a run ends this
//! with the same exit. Nothing is created, written or locked; the built-in API is not started, as nobody asks it.

mod planned_input;

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, IF_MODIFIED_SINCE, IF_NONE_MATCH, USER_AGENT};

use super::api::Api;
use super::checks::{InputChecks, OutputChecks};
use super::command_error::CommandError;
use super::session::Session;
use super::{ending, failure_file, objects, shard, standard_output, terminal, unpublished, warnings, wiring};
use crate::collect::{self, Inspection, Preflight};
use crate::config::{Environment, Settings};
use crate::fetch::PageSettings;
use crate::input::{self, Columns};
use crate::model::request_url::redacted_url;
use crate::model::{Event, Exit, Mask, Reporter, option};
use crate::plan::{BoundTemplate, Planner};
use crate::report::dry_run::{self, DryRun, EarlierAnswers, PlannedFiles, PlannedPace, PlannedRequests};
use crate::report::{Report, ReportSettings};

use planned_input::{PlannedInput, PlannedInputBuilder};

/// Makes the plan, prints it to standard output, and returns how the program ends.
///
/// # Errors
/// What would end a run before its first request.
pub(super) fn dry_run(mut settings: Settings, env: &Arc<Environment>) -> Result<Exit, CommandError> {
    standard_output::check()?;
    let messages = ReportSettings { terminal: terminal::standard_error(env), ..settings.messages };
    let objects = objects::prepare(&mut settings, env)?;
    #[expect(clippy::disallowed_methods, reason = "the start of the command")]
    let session = Session {
        settings: Arc::new(settings),
        env: Arc::clone(env),
        report: Arc::new(Report::new(messages, Box::new(io::stderr()))),
        started: Instant::now(),
        objects,
    };
    let Session { settings, report, .. } = &session;
    let checks = OutputChecks::new(&session, collect::preflight_without_trace)?;
    let mut writer = None;
    if let Some(objects) = &session.objects {
        objects::fetch_input(objects, &settings.input_path)?;
        writer = objects::look(objects, &checks.place)?;
    }
    let (rows, watched) = input::open_watched(&settings.input_path, &settings.input)?;
    // The HTTP stack is dropped: no request is sent.
    let InputChecks { output, place, request, stack, rate_store, .. } =
        checks.with_input(&session, &Api::unstarted(settings), &rows)?;
    let proxy = stack.shown_proxy(settings, &request);
    let is_partial = rows.has_failure_columns() || settings.input.limit.is_some();
    let columns = Arc::clone(rows.columns());
    let identity = wiring::identity(settings, &request);
    failure_file::check_prune(settings, rows.has_failure_columns())?;
    let mut inspection = Inspection::of(&output, &place, &identity)?;
    let mut notes = mem::take(&mut inspection.recovered.notes);
    notes.extend(inspection.planned_changes());
    notes.extend(warnings::about_the_journal(settings, &inspection.recovered));
    notes.extend(shard::part_that_is_there(settings));
    // A run would wait for the lock, or take it.
    let writer = place.paths.as_ref().map(collect::lock_holder).transpose()?.flatten().or(writer);
    let earlier = EarlierAnswers { notes, writer, ..EarlierAnswers::default() };
    let planner = Planner::new(request, inspection.salt()).with_empty_key(settings.input.empty_key);
    session.warn(planner.request().start_warnings().iter().chain(&warnings::headless(settings, &columns)));

    let builder = PlannedInputBuilder::new(planner, inspection, earlier, settings.output.max_age)
        .with_pages(settings.response.pages.is_some());
    let input = builder.read_all(rows)?;
    // Another shard may have some.
    if settings.output.part.is_none() && input.has_no_sku() {
        return Err(ending::no_sku(input.rows.rows, settings));
    }
    let guarded = input.guarded(&output, &place);
    let unclaimed = if is_partial { input.unclaimed() } else { 0 };
    if let Some(watched) = watched.filter(|watched| !watched.is_unchanged()) {
        let message = format!(
            "{} was written to while it was read: the plan may be made of the old file and the new one",
            watched.name()
        );
        report.on(&Event::Warned { message: &message });
    }
    let mut plan = put_together(settings, &columns, &place, input);
    plan.requests.proxy = proxy;
    plan.pace.rate_store = rate_store.map(|store| store.name().to_owned());
    report.dry_run_planned(&plan);
    standard_output::print(&dry_run::text(&plan, settings.messages.quiet))?;
    guarded.map_err(|error| unpublished::of_collect(error, settings))?;
    if unclaimed > 0 {
        return Err(ending::interrupted_run(unclaimed, settings));
    }
    Ok(plan.exit())
}

fn put_together(settings: &Settings, columns: &Columns, place: &Preflight, planned: PlannedInput) -> DryRun {
    let headers = headers(&planned);
    let PlannedInput { planner, mut rows, first, random, bodies, packs, earlier, old_bytes, .. } = planned;
    rows.input = settings.input_path.to_string();
    columns.key_name().clone_into(&mut rows.key);
    rows.format = columns.format.to_string();
    let method = planner.template().method();
    DryRun {
        rows,
        requests: PlannedRequests {
            method: method.to_string(),
            may_act_twice: !method.is_idempotent(),
            first,
            random,
            headers,
            proxy: None,
            token: token(settings, planner.request()),
            bodies,
            packs,
            most_pages: settings.response.pages.as_ref().map(|pages| pages.most.get()),
        },
        filters: filters(settings, &planner.request().mask()),
        earlier,
        pace: PlannedPace {
            concurrency: settings.pace.concurrency,
            rate: settings.pace.rate,
            burst: settings.pace.burst.get(),
            rate_store: None,
            retries: settings.retry.retries,
            retry_on: settings.output.retry_on.to_string(),
            max_time: settings.run.max_time,
            max_age: settings.output.max_age,
        },
        files: files(settings, place, old_bytes),
    }
}

/// The filters on answers, each with its option: the conditions first, then what is selected from the answers that are
/// kept.
fn filters(settings: &Settings, mask: &Mask) -> Vec<String> {
    let (select, conditions): (Vec<_>, Vec<_>) =
        settings.response.filters().partition(|(option, _)| *option == option::SELECT);
    let shown = |(option, text): &(&str, &str)| format!("{option} {}", mask.apply(text));
    let bulk: Vec<_> = settings.response.bulk.given().filter(|_| settings.request.bulk.is_some()).collect();
    let pages: Vec<_> = settings.response.pages.iter().flat_map(PageSettings::given).collect();
    let columns = settings.output.columns_as_written();
    let columns = columns.as_deref().map(|text| shown(&(option::COLUMNS, text)));
    bulk.iter().chain(&pages).chain(&conditions).chain(&select).map(shown).chain(columns).collect()
}

/// Where the token comes from: the endpoint without its query, or the option of the command.
fn token(settings: &Settings, request: &BoundTemplate) -> Option<String> {
    settings.token.as_ref()?;
    Some(match request.template().token_request() {
        Some(endpoint) => request.mask().apply(&redacted_url(&endpoint.url)).into_owned(),
        None => option::TOKEN_COMMAND.to_owned(),
    })
}

/// The names of all headers that the program or the user sets, in alphabetical order.
fn headers(planned: &PlannedInput) -> Vec<String> {
    let mut names = vec![ACCEPT, ACCEPT_ENCODING, USER_AGENT];
    if planned.has_user_info {
        names.push(AUTHORIZATION);
    }
    if planned.asks_etag {
        names.push(IF_NONE_MATCH);
    }
    if planned.asks_date {
        names.push(IF_MODIFIED_SINCE);
    }
    let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.extend(planned.planner.template().header_names().into_iter().map(String::from));
    names.sort_unstable();
    names.dedup();
    names
}

fn files(settings: &Settings, place: &Preflight, old_bytes: Option<u64>) -> PlannedFiles {
    PlannedFiles {
        output: place.paths.as_ref().map(|paths| paths.output.given.clone()).or(shard::part_path(settings)),
        stream: settings.output.stream,
        old_bytes,
        merge: settings.output.merge,
        prune: settings.output.prune,
        changes: place.changes.as_ref().map(|changes| changes.given.clone()),
        failed: place.failed.as_ref().map(|failed| failed.given.clone()),
        beside: place.paths.as_ref().map_or_else(Vec::new, |paths| {
            vec![paths.journal.clone(), paths.lock.clone(), paths.state.clone()]
        }),
    }
}
