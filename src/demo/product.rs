//! A plausible product, computed from its SKU.
//!
//! Everything is derived from a hash of the SKU: there is no table, every run and every machine gets the same
//! answer, and a million SKUs need no memory. There are few words, but enough combinations that an answer for
//! the wrong SKU is noticed.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 2025-01-01T00:00:00Z, in seconds: no product was updated before.
const FIRST_UPDATE: u64 = 1_735_689_600;

/// Updates spread over this many seconds after the first (300 days).
const UPDATE_SPAN: u64 = 300 * 86_400;

/// Brands.
const BRANDS: [&str; 16] = [
    "Alder & Sons",
    "Bjørnø",
    "Café Müller",
    "Dunmore",
    "Étoile",
    "Fjällbo",
    "Grünwald",
    "Hakone 箱根",
    "Isla",
    "Jorvik",
    "Kestrel",
    "Lumière",
    "Marañón",
    "Northgate",
    "Ólafur",
    "Peak 21",
];

/// Kinds of products, with their categories.
const THINGS: [(&str, &str); 32] = [
    ("Water bottle 750 ml", "Outdoor"),
    ("Tent, 2 persons", "Outdoor"),
    ("Sleeping bag −5 °C", "Outdoor"),
    ("Head torch 400 lm", "Outdoor"),
    ("Trekking poles, pair", "Outdoor"),
    ("Rucksack 32 l", "Outdoor"),
    ("Monitor 27\" IPS", "Electronics"),
    ("USB-C cable 2 m", "Electronics"),
    ("Keyboard, QWERTZ", "Electronics"),
    ("Router \"Mesh 6\"", "Electronics"),
    ("Power bank 20 Ah", "Electronics"),
    ("Projector 1080p", "Electronics"),
    ("Crème brûlée torch", "Kitchen"),
    ("Chef's knife 20 cm", "Kitchen"),
    ("Frying pan ⌀ 28 cm", "Kitchen"),
    ("Espresso cups, set of 6", "Kitchen"),
    ("Tea caddy 茶", "Kitchen"),
    ("Cutting board, oak", "Kitchen"),
    ("Drill 18 V", "Tools"),
    ("Bit set, 32 pieces", "Tools"),
    ("Pipe 3/4\" brass", "Tools"),
    ("Spirit level 60 cm", "Tools"),
    ("Wood screws 4×40, 200 pcs", "Tools"),
    ("Work gloves", "Tools"),
    ("T-shirt, organic cotton", "Clothing"),
    ("Rain jacket", "Clothing"),
    ("Merino socks, 3 pairs", "Clothing"),
    ("Señorita scarf", "Clothing"),
    ("Notebook A5, dotted", "Office"),
    ("Fountain pen \"F\"", "Office"),
    ("Desk lamp", "Office"),
    ("Paper A4, 500 sheets", "Office"),
];

const STYLES: [&str; 16] = [
    "black",
    "white",
    "anthracite",
    "forest green",
    "navy",
    "rosé",
    "sand",
    "crimson",
    "matt, recycled",
    "Mk II",
    "XL",
    "slim",
    "limited edition ✨",
    "refill",
    "for left-handers",
    "\"Pro\"",
];

const SENTENCES: [&str; 12] = [
    "Made to be repaired: every part can be ordered on its own.",
    "Tested for 10,000 cycles in our own workshop.",
    "Comes in plain cardboard, without plastic.",
    "Das Gehäuse besteht aus eloxiertem Aluminium und wiegt kaum etwas.",
    "Livré avec un étui en coton biologique.",
    "Incluye instrucciones en español, inglés y francés.",
    "The colour may differ slightly from the picture.",
    "Fits the \"classic\" series and everything made since 2019.",
    "Hand wash only; do not tumble dry.",
    "日本製。保証期間は二年です。",
    "Two years' warranty, five if registered.",
    "Sold in packs; the price is for one piece.",
];

const TAGS: [&str; 12] = [
    "new",
    "sale",
    "bestseller",
    "eco",
    "gift",
    "bulky",
    "fragile",
    "B2B",
    "élite",
    "clearance",
    "seasonal",
    "refurbished",
];

const WAREHOUSES: [&str; 6] = ["HAM-1", "LYS-2", "MAD-1", "GDN-3", "OSA-1", "LEJ-4"];

const CURRENCIES: [&str; 4] = ["EUR", "EUR", "GBP", "SEK"];

/// A product: its SKU and the hash that all else is derived from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product<'a> {
    sku: &'a str,
    hash: u64,
}

impl<'a> Product<'a> {
    /// The product of this SKU. Every SKU has one.
    pub(crate) fn of(sku: &'a str) -> Self {
        Self { sku, hash: hash(sku) }
    }

    /// Its `ETag`: strong, since the body follows from the SKU byte for byte.
    pub(crate) fn etag(self) -> String {
        format!("\"{:016x}\"", self.hash)
    }

    /// When it was last changed.
    pub(crate) fn updated_at(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(FIRST_UPDATE + Dice(self.hash).roll() % UPDATE_SPAN)
    }

    /// Its name. Some contain commas, quotes and letters beyond ASCII.
    pub(crate) fn name(self) -> String {
        let mut dice = Dice(self.hash ^ 1);
        let (thing, _) = dice.pick(&THINGS);
        format!("{thing}, {}", dice.pick(&STYLES))
    }

    /// Its brand.
    pub(crate) fn brand(self) -> &'static str {
        Dice(self.hash ^ 2).pick(&BRANDS)
    }

    /// Its category: that of the thing in its name.
    pub(crate) fn category(self) -> &'static str {
        Dice(self.hash ^ 1).pick(&THINGS).1
    }

    /// The body: compact JSON of 0.6 to 1.5 KB.
    pub(crate) fn body(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2048);
        self.write(&mut out).expect("a vector takes every byte");
        out
    }

    fn write(self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let mut dice = Dice(self.hash ^ 3);
        out.write_all(b"{\"sku\":")?;
        serde_json::to_writer(&mut *out, self.sku)?;
        out.write_all(b",\"name\":")?;
        serde_json::to_writer(&mut *out, &self.name())?;
        write!(out, ",\"brand\":\"{}\",\"category\":\"{}\",\"description\":", self.brand(), self.category())?;
        write_description(&mut dice, out)?;
        let cents = 99 + dice.below(60_000);
        write!(
            out,
            ",\"price\":{{\"amount\":{}.{:02},\"currency\":\"{}\",\"tax_rate\":0.{}0}}",
            cents / 100,
            cents % 100,
            dice.pick(&CURRENCIES),
            1 + dice.below(2)
        )?;
        write_stock(&mut dice, out)?;
        write_dimensions(&mut dice, out)?;
        write_tags(&mut dice, out)?;
        self.write_images(&mut dice, out)?;
        write!(
            out,
            ",\"rating\":{{\"average\":{}.{},\"count\":{}}},\"active\":{},\"updated_at\":\"{}\"}}",
            3 + dice.below(2),
            dice.below(10),
            dice.below(900),
            dice.below(20) != 0,
            humantime::format_rfc3339_seconds(self.updated_at())
        )
    }

    fn write_images(self, dice: &mut Dice, out: &mut Vec<u8>) -> std::io::Result<()> {
        out.write_all(b",\"images\":[")?;
        for n in 0..=dice.below(3) {
            let comma = if n == 0 { "" } else { "," };
            write!(out, "{comma}\"https://img.example.com/{:016x}/{n}.webp\"", self.hash)?;
        }
        out.write_all(b"]")
    }
}

fn write_description(dice: &mut Dice, out: &mut Vec<u8>) -> std::io::Result<()> {
    let (count, first) = (7 + dice.below(6), dice.below(SENTENCES.len()));
    let mut text = String::with_capacity(1024);
    for n in 0..count {
        // 5 and 12 have no common factor: no sentence is repeated.
        let sentence = SENTENCES[(first + n * 5) % SENTENCES.len()];
        text.push_str(if n == 0 { "" } else { " " });
        text.push_str(sentence);
    }
    Ok(serde_json::to_writer(out, &text)?)
}

fn write_stock(dice: &mut Dice, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.write_all(b",\"stock\":{")?;
    let (count, first) = (2 + dice.below(3), dice.below(WAREHOUSES.len()));
    for n in 0..count {
        let warehouse = WAREHOUSES[(first + n) % WAREHOUSES.len()];
        let (comma, on_hand) = (if n == 0 { "" } else { "," }, dice.below(400));
        write!(out, "{comma}\"{warehouse}\":{{\"on_hand\":{on_hand},\"incoming\":")?;
        match dice.below(3) {
            0 => write!(out, "{}}}", 10 * dice.below(50))?,
            _ => out.write_all(b"null}")?,
        }
    }
    out.write_all(b"}")
}

fn write_dimensions(dice: &mut Dice, out: &mut Vec<u8>) -> std::io::Result<()> {
    write!(
        out,
        ",\"dimensions\":{{\"length_mm\":{},\"width_mm\":{},\"height_mm\":{},\"weight_kg\":{}.{:03}}}",
        20 + dice.below(900),
        10 + dice.below(500),
        5 + dice.below(300),
        dice.below(25),
        dice.below(1000)
    )
}

fn write_tags(dice: &mut Dice, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.write_all(b",\"tags\":[")?;
    let (count, first) = (dice.below(5), dice.below(TAGS.len()));
    for n in 0..count {
        write!(out, "{}\"{}\"", if n == 0 { "" } else { "," }, TAGS[(first + n * 5) % TAGS.len()])?;
    }
    out.write_all(b"]")
}

/// FNV-1a over the bytes, then [`mix`]: FNV alone leaves the low bits of short inputs too alike.
pub(crate) fn hash(text: &str) -> u64 {
    // Offset basis and prime of the 64-bit FNV-1a.
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

/// The finaliser of `splitmix64`: every bit of the input moves every bit of the output.
pub(crate) fn mix(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// `splitmix64`: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        // The golden ratio in 64 bits, the generator's own step.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    fn below(&mut self, n: usize) -> usize {
        // The high half, times n, shifted back: less than n, so it fits.
        (((self.roll() >> 32) * n as u64) >> 32) as usize
    }

    fn pick<T: Copy, const N: usize>(&mut self, from: &[T; N]) -> T {
        from[self.below(N)]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_product_follows_from_its_sku_alone() {
        let one = Product::of("0004711");
        let body: Value = serde_json::from_slice(&one.body()).unwrap();
        assert_eq!(body["sku"], "0004711");
        assert_eq!(body["name"], one.name());
        assert_eq!(one.body(), Product::of("0004711").body());
        assert_ne!(one.body(), Product::of("4711").body());
        assert_eq!(one.etag(), Product::of("0004711").etag());
    }

    #[test]
    fn a_price_is_written_with_two_decimals() {
        for n in 0..200 {
            let sku = n.to_string();
            let body = String::from_utf8(Product::of(&sku).body()).unwrap();
            let (_, amount) = body.split_once("\"amount\":").unwrap();
            let (_, cents) = amount.split_once(',').unwrap().0.split_once('.').unwrap();
            assert_eq!(cents.len(), 2, "{body}");
        }
    }

    proptest! {
        #[test]
        fn every_body_is_json_of_about_a_kilobyte(sku in "\\PC{1,20}") {
            let body = Product::of(&sku).body();
            let value: Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(value["sku"].as_str().unwrap(), sku);
            prop_assert!((600..=1500).contains(&body.len()), "{}", body.len());
        }
    }
}
