//! The connections that are open to all origins together: never more than requests may be in flight.
//!
//! A request holds one connection at most, so what is over that number is idle: before another connection is opened, an
//! idle one is closed. With several origins that alone would close and open connections all the time. An origin takes
//! one from another only if it has none, if the other has more, or if that connection was idle for a while; else it
//! waits for the next one that is free.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A connection that was idle for so long is not needed.
const UNNEEDED: Duration = Duration::from_millis(100);
/// How often it is looked whether there is such a connection.
const LOOK: Duration = Duration::from_millis(20);
/// A connection that is closed is gone within this time; then another one is opened in any case.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A pool whose idle connections can be closed.
pub(super) trait IdleConnections: Send + Sync {
    /// Since when the connection is idle that is so for the longest time, if there is one.
    fn oldest_idle(&self) -> Option<Instant>;

    /// Closes that connection.
    fn close_oldest_idle(&self);
}

/// The open connections of a run, by origin.
pub(super) struct OpenConnections {
    most: usize,
    origins: Mutex<Vec<OriginConnections>>,
    closed: Notify,
}

struct OriginConnections {
    open: usize,
    pools: Vec<Weak<dyn IdleConnections>>,
}

impl OpenConnections {
    /// None are open; no more than `most` will be.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), origins: Mutex::default(), closed: Notify::new() })
    }

    /// The connections of one more origin, which are in these pools while they are idle.
    pub(super) fn of_origin(self: &Arc<Self>, pools: Vec<Weak<dyn IdleConnections>>) -> ConnectionPlaces {
        let mut origins = self.lock();
        origins.push(OriginConnections { open: 0, pools });
        ConnectionPlaces { all: Arc::clone(self), origin: origins.len() - 1 }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OriginConnections>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The places of one origin's connections.
pub(super) struct ConnectionPlaces {
    all: Arc<OpenConnections>,
    origin: usize,
}

/// The right to have one connection open. Dropped, it is given back.
pub(super) struct ConnectionPlace {
    all: Arc<OpenConnections>,
    origin: usize,
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.all.lock()[self.origin].open -= 1;
        self.all.closed.notify_one();
    }
}

impl ConnectionPlaces {
    /// A place, if fewer connections are open than may be.
    pub(super) fn try_take(&self) -> Option<ConnectionPlace> {
        let mut origins = self.all.lock();
        let open: usize = origins.iter().map(|origin| origin.open).sum();
        (open < self.all.most).then(|| self.place(&mut origins))
    }

    /// The same; an idle connection is closed for it, or waited for.
    pub(super) async fn take(&self) -> ConnectionPlace {
        let began = Instant::now();
        loop {
            let closed = self.all.closed.notified();
            if let Some(place) = self.try_take() {
                return place;
            }
            if self.close_another()
                && let Some(place) = self.try_take()
            {
                return place;
            }
            if began.elapsed() >= LONGEST_WAIT {
                return self.place(&mut self.all.lock());
            }
            let _ = tokio::time::timeout(LOOK, closed).await;
        }
    }

    fn place(&self, origins: &mut [OriginConnections]) -> ConnectionPlace {
        origins[self.origin].open += 1;
        ConnectionPlace { all: Arc::clone(&self.all), origin: self.origin }
    }

    /// Closes an idle connection, if one can be spared.
    fn close_another(&self) -> bool {
        let now = Instant::now();
        // The pools are looked at without the lock: a connection that they close takes it.
        let (own, pools) = {
            let origins = self.all.lock();
            let of_one = |(at, origin): (usize, &OriginConnections)| {
                let pools = origin.pools.iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
                (at, origin.open, pools)
            };
            (origins[self.origin].open, origins.iter().enumerate().map(of_one).collect::<Vec<_>>())
        };
        let idle = pools.into_iter().flat_map(|(at, open, pools)| {
            let is_spared = own == 0 || at == self.origin || open > own + 1;
            pools.into_iter().filter_map(move |pool| {
                let since = pool.oldest_idle()?;
                let is_unneeded = now.saturating_duration_since(since) >= UNNEEDED;
                (is_spared || is_unneeded).then_some((since, pool))
            })
        });
        let Some((_, pool)) = idle.min_by_key(|(since, _)| *since) else { return false };
        pool.close_oldest_idle();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Idle connections with their places.
    #[derive(Default)]
    struct IdlePool(Mutex<Vec<(ConnectionPlace, Instant)>>);

    impl IdlePool {
        fn put(&self, place: ConnectionPlace) {
            self.0.lock().unwrap().push((place, Instant::now()));
        }

        fn len(&self) -> usize {
            self.0.lock().unwrap().len()
        }
    }

    impl IdleConnections for IdlePool {
        fn oldest_idle(&self) -> Option<Instant> {
            self.0.lock().unwrap().first().map(|(_, since)| *since)
        }

        fn close_oldest_idle(&self) {
            let oldest = self.0.lock().unwrap().remove(0);
            drop(oldest);
        }
    }

    fn origin(all: &Arc<OpenConnections>) -> (ConnectionPlaces, Arc<IdlePool>) {
        let pool = Arc::new(IdlePool::default());
        let weak: Weak<dyn IdleConnections> = Arc::downgrade(&pool) as _;
        (all.of_origin(vec![weak]), pool)
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_without_a_connection_takes_an_idle_one_of_another_at_once() {
        let all = OpenConnections::new(1);
        let ((a, idle_a), (b, _)) = (origin(&all), origin(&all));
        let began = Instant::now();
        idle_a.put(a.take().await);
        assert!(b.try_take().is_none());
        let place = b.take().await;
        assert_eq!((idle_a.len(), began.elapsed()), (0, Duration::ZERO));
        assert!(a.try_take().is_none());
        drop(place);
        assert!(a.try_take().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn two_origins_share_evenly_and_beyond_that_only_what_is_unneeded_goes_over() {
        let all = OpenConnections::new(8);
        let ((a, idle_a), (b, _)) = (origin(&all), origin(&all));
        for _ in 0..8 {
            idle_a.put(a.take().await);
        }
        let began = Instant::now();
        let mut places = Vec::new();
        for _ in 0..4 {
            places.push(b.take().await);
        }
        assert_eq!((idle_a.len(), began.elapsed()), (4, Duration::ZERO));
        places.push(b.take().await);
        assert_eq!(idle_a.len(), 3);
        assert!(began.elapsed() >= UNNEEDED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_given_back_is_taken_and_one_that_is_not_is_waited_for_in_bounds() {
        let all = OpenConnections::new(1);
        let ((a, _), (b, _)) = (origin(&all), origin(&all));
        let place = a.take().await;
        let (taken, ()) = tokio::join!(b.take(), async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            drop(place);
        });
        let began = Instant::now();
        // Nothing is idle: that no request waits for ever is worth more than the bound.
        let _over = a.take().await;
        assert!((LONGEST_WAIT..LONGEST_WAIT * 2).contains(&began.elapsed()));
        drop(taken);
    }
}
