//! Recognises by its name a column that probably holds the SKU, for suggestions. Nothing is ever read by such a guess.

/// What a name says. The earlier kind is the better suggestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum KeyKind {
    Sku,
    /// The number of an item, part, article or model.
    ArticleNumber,
    Ean,
    Gtin,
    Upc,
    Isbn,
    Asin,
    /// The number that a manufacturer gives.
    Mpn,
    Barcode,
    /// An identifier of the shop system.
    Id,
}

/// What has a number, in English, German, French, Spanish, Italian, Dutch, Russian, and in some languages beside them.
/// As [`words`] gives them: without accents.
#[rustfmt::skip]
const THINGS: &[&str] = &[
    "item", "part", "article", "model", "product", "variant", "variation", "style", "stock", "catalog", "catalogue", "material",
    "art", "mat", "artikel", "teil", "teile", "modell", "produkt", "variante", "varianten", "bestell", "sach", "waren", "katalog",
    "piece", "modele", "produit",
    "articulo", "pieza", "parte", "modelo", "producto",
    "articolo", "pezzo", "modello", "prodotto", "ricambio",
    "onderdeel", "bestel",
    "артикул", "артикула", "товар", "товара", "товаров", "деталь", "детали", "модель", "модели", "изделия", "продукта", "запчасти", "парт",
    "номенклатурный", "номенклатуры", "каталожный",
    "artigo", "peca", "produto", "artykulu", "produktu", "towaru", "czesci", "zbozi", "vare", "varu", "tuote",
];

/// What is called a number.
#[rustfmt::skip]
const NUMBERS: &[&str] = &[
    "number", "num", "nbr", "no", "nr", "n", "code", "ref", "reference", "key",
    "nummer", "kennung", "schluessel", "schlussel", "referenz",
    "numero", "nro", "cod", "codigo", "referencia", "codice", "riferimento", "rif",
    "referentie", "номер", "код", "no", "numer", "cislo", "kod", "kode", "numero", "nummer", "nro",
];

/// Names that say it alone.
#[rustfmt::skip]
const ALONE: &[&str] = &[
    "reference", "ref", "referenz", "referencia", "riferimento", "referentie", "codice", "codigo", "артикул", "артикулы",
    "pn", "stockcode", "indeks",
];

/// In scripts without spaces.
const IN_ANY_PLACE: &[&str] = &["货号", "商品编码", "商品コード", "商品番号", "品番", "型番"];

/// Words of columns that hold the SKU of another product.
const OF_ANOTHER: &[&str] =
    &["parent", "master", "group", "related", "crosssell", "upsell", "cross", "up", "eltern", "competitor"];

/// Words of columns that are about a SKU, and are seldom the row's own.
#[rustfmt::skip]
const BESIDE: &[&str] = &[
    "old", "alt", "alternative", "supplier", "vendor", "manufacturer", "mfr", "mfg", "hersteller", "lieferant",
    "lieferanten", "oem", "price", "qty", "quantity", "count", "status", "type", "name", "title", "image", "url",
    "description", "date", "tax", "country", "warehouse", "category",
];

/// Words that make an article number one of the manufacturer.
const MANUFACTURER: &[&str] = &[
    "manufacturer",
    "mfr",
    "mfg",
    "hersteller",
    "fabricant",
    "fabricante",
    "produttore",
    "fabrikant",
    "oem",
];

/// A name with more digits is a value: the file has no header.
const MOST_DIGITS: usize = 2;

/// The column whose name is the likeliest for the SKU. Of equals the one that says least beside it, then the first.
pub(super) fn likeliest(names: &[String]) -> Option<usize> {
    let likely = |index: usize| {
        let kind = kind(&names[index])?;
        let words = words(&names[index]);
        let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        Some(((has(OF_ANOTHER), kind, has(BESIDE), words.len()), index))
    };
    (0..names.len()).filter_map(likely).min().map(|(_, index)| index)
}

/// Whether a header cell is probably a value: a number, or a text of digits for the most part.
pub(super) fn is_like_a_value(name: &str) -> bool {
    let digits = name.chars().filter(|c| c.is_numeric()).count();
    let letters = name.chars().filter(|c| c.is_alphabetic()).count();
    name == "\\N" || digits > 0 && (letters == 0 || (digits > MOST_DIGITS && digits >= letters))
}

/// Whether a name is one that the column of a SKU may have.
pub(crate) fn may_be_a_key(name: &str) -> bool {
    kind(name).is_some()
}

/// What a name says.
fn kind(name: &str) -> Option<KeyKind> {
    if is_like_a_value(name) || name.chars().filter(|c| c.is_numeric()).count() > MOST_DIGITS {
        return None;
    }
    let words = words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    if has_sku(name, &words) {
        Some(KeyKind::Sku)
    } else if is_article_number(name, &words) {
        Some(if has(MANUFACTURER) { KeyKind::Mpn } else { KeyKind::ArticleNumber })
    } else {
        standard_number(&words)
    }
}

fn has_sku(name: &str, words: &[String]) -> bool {
    // `skul` begins words of several languages (Skulptur, skull), and `sku` stands inside of others (Diskussion).
    let is_sku =
        |word: &String| word.ends_with("sku") || (word.starts_with("sku") && !word.starts_with("skul"));
    name.contains("SKU") || words.iter().any(is_sku)
}

fn is_article_number(name: &str, words: &[String]) -> bool {
    let is = |list: &[&str], word: &String| list.contains(&word.as_str());
    // `Reference #`, `Ref. no`.
    let is_a_reference = words.first().is_some_and(|word| is(ALONE, word))
        && words.iter().skip(1).all(|word| is(NUMBERS, word));
    // "Number of items" counts something.
    let is_a_count = words.iter().any(|word| word == "of");
    let in_two_words = words.iter().enumerate().any(|(thing_at, thing)| {
        is(THINGS, thing)
            && words.iter().enumerate().any(|(number_at, word)| number_at != thing_at && is(NUMBERS, word))
    });
    (in_two_words && !is_a_count)
        || is_a_reference
        || words.iter().any(|word| is_compound(word))
        || is_reference_of_a_thing(words)
        || words.iter().map(String::as_str).eq(["p", "n"])
        || words.iter().map(String::as_str).take(2).eq(["custom", "label"]) && words.len() == 2
        || IN_ANY_PLACE.iter().any(|text| name.contains(text))
}

/// `Artikelnummer`, `Bestellnr`, `ARTNR`, `Productcode`, `Onderdeelsnummer`.
fn is_compound(word: &str) -> bool {
    let is_number = |rest: &str| NUMBERS.contains(&rest) && rest != "n";
    THINGS.iter().filter_map(|thing| word.strip_prefix(thing)).any(|rest| {
        ["", "s", "n", "en", "e"].iter().filter_map(|link| rest.strip_prefix(link)).any(is_number)
    })
}

/// `Артикул товара`.
fn is_reference_of_a_thing(words: &[String]) -> bool {
    words.len() <= 3
        && words.first().is_some_and(|word| word == "артикул")
        && words.iter().skip(1).all(|word| THINGS.contains(&word.as_str()))
}

fn standard_number(words: &[String]) -> Option<KeyKind> {
    const STANDARDS: [(&str, KeyKind); 7] = [
        ("ean", KeyKind::Ean),
        ("gtin", KeyKind::Gtin),
        ("upc", KeyKind::Upc),
        ("isbn", KeyKind::Isbn),
        ("asin", KeyKind::Asin),
        ("mpn", KeyKind::Mpn),
        ("herstellernummer", KeyKind::Mpn),
    ];
    let is_named = |word: &String, standard: &str| {
        word.strip_prefix(standard).is_some_and(|rest| rest.is_empty() || NUMBERS.contains(&rest))
    };
    let of = |(standard, kind): &(&str, KeyKind)| {
        words.iter().any(|word| is_named(word, standard)).then_some(*kind)
    };
    let is_barcode = |word: &String| {
        matches!(word.as_str(), "barcode" | "strichcode" | "штрихкод" | "streepjescode" | "kreskowy")
    };
    let has_id = words.iter().any(|word| word == "id");
    let is_id = has_id && words.iter().any(|word| THINGS.contains(&word.as_str()));
    STANDARDS
        .iter()
        .find_map(of)
        .or_else(|| words.iter().any(is_barcode).then_some(KeyKind::Barcode))
        .or_else(|| is_id.then_some(KeyKind::Id))
}

/// The words of a name: in lower case, without accents, parted at what is no letter, at digits, and at capitals inside
/// of `itemNumber` and `SKUCode`. `#` and `№` are the word `no`.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).collect();
    let mut words = vec![String::new()];
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| chars[before]);
        let follows_lower = before.is_some_and(char::is_lowercase);
        let begins_lower = before.is_some_and(char::is_uppercase)
            && chars.get(at + 1).is_some_and(|next| next.is_lowercase());
        let is_new = !c.is_alphabetic()
            || before.is_some_and(|before| !before.is_alphabetic())
            || (c.is_uppercase() && (follows_lower || begins_lower));
        if is_new {
            words.push(String::new());
        }
        let word = words.last_mut().expect("there is always one");
        match c {
            '#' | '№' => word.push_str("no"),
            // The raised letters of `n°` and `nº` are no letters of the word.
            'º' | 'ª' => {}
            _ if c.is_alphabetic() => c.to_lowercase().for_each(|c| push_plain(word, c)),
            _ => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Adds a letter without its accent.
fn push_plain(word: &mut String, c: char) {
    let plain = match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ą' => 'a',
        'ç' | 'č' | 'ć' => 'c',
        'è' | 'é' | 'ê' | 'ë' | 'ę' | 'ě' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ł' => 'l',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' => 'o',
        'š' | 'ś' => 's',
        'ù' | 'ú' | 'û' | 'ü' | 'ů' => 'u',
        'ý' | 'ÿ' => 'y',
        'ž' | 'ź' | 'ż' => 'z',
        'ё' => 'е',
        c => c,
    };
    match plain {
        'ß' => word.push_str("ss"),
        'œ' => word.push_str("oe"),
        'æ' => word.push_str("ae"),
        plain => word.push(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best<'a>(names: &[&'a str]) -> Option<&'a str> {
        let owned: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        likeliest(&owned).map(|index| names[index])
    }

    #[test]
    fn the_names_of_many_languages_are_known() {
        let names = "Variant SKU | seller-sku | item_sku | productSku | SKUCode | sku_id | Custom label (SKU) | \
         skus | Item Number | Item # | item_no | ItemNo. | Part No. | Part Number | partnumber | P/N | \
         Article Number | Model Number | Model No | Product Code | Style Code | Stock Code | StockCode | \
         CustomLabel | Artikelnummer | Artikel-Nr. | Artikelnr | Art.-Nr. | ArtNr | ARTNR | Art. Nr | \
         Bestellnummer | Teilenummer | Modellnummer | Produktnummer | Produkt-Code | Référence | \
         Re\u{301}fe\u{301}rence | Réf. | Référence produit | Numéro d'article | N° article | \
         Code article | Code produit | Réf. article | Numéro de pièce | Numéro de modèle | Referencia | \
         Número de artículo | Nº de artículo | Código de artículo | Código de producto | \
         Número de pieza | Número de modelo | Codice articolo | Cod. art. | Numero articolo | \
         Codice prodotto | Numero di modello | Codice | Numero parte | Onderdeelnummer | Modelnummer | \
         Bestelnummer | Productcode | Referentie | Артикул | Артикул товара | Код товара | \
         Номер артикула | Номер детали | Номер модели | Номенклатурный номер | Партномер | \
         Código do produto | Numer artykułu | Kod produktu | Varenr. | 商品コード | EAN | EAN-13 | EAN13 | \
         EAN-Code | GTIN | gtin14 | UPC | UPC Code | ISBN-13 | ASIN | asin1 | MPN | \
         Manufacturer Part Number | Barcode | Product ID | Reference # | Réf. n° | Reference number | Matnr | Materialnummer";
        for name in names.split(" | ") {
            assert_eq!(best(&["Name", name, "Price"]), Some(name), "{:?}", words(name));
        }
    }

    #[test]
    fn other_names_suggest_nothing() {
        let names = "Handle | Title | Vendor | Brand | Preis (EUR, netto) | Menge | Nr | No | id | Number of items | \
         Diskussion | Skulptur | Partner | Model | Article | Artikel | Bezeichnung | Ocean | European | \
         SKU-001 | 4711 | Supcost | Nombre | Stock |  | Anzahl Artikel | Order number | Postal code | \
         Phone no | Google Shopping / Custom Label 0 | upcoming | Meaning";
        for name in names.split(" | ") {
            assert_eq!(best(&[name]), None, "{name}: {:?}", words(name));
        }
    }

    #[test]
    fn the_better_kind_wins_wherever_it_stands() {
        for (names, expected) in [
            (&["EAN", "Item No", "Variant SKU"][..], "Variant SKU"),
            (&["EAN", "Item No"], "Item No"),
            (&["MPN", "GTIN", "ASIN", "UPC"], "GTIN"),
            (&["MPN", "ISBN", "EAN"], "EAN"),
            (&["ISBN", "UPC"], "UPC"),
            (&["MPN", "ASIN"], "ASIN"),
            (&["Parent SKU", "SKU no"], "SKU no"),
            (&["Parent SKU", "EAN"], "EAN"),
            (&["Supplier SKU", "EAN"], "Supplier SKU"),
            (&["Manufacturer part number", "Part number"], "Part number"),
            (&["Product ID", "Reference"], "Reference"),
            (&["Product ID", "EAN"], "EAN"),
            (&["sku_name", "item_sku"], "item_sku"),
        ] {
            assert_eq!(best(names), Some(expected), "{names:?}");
        }
    }

    #[test]
    fn a_cell_of_digits_is_a_value() {
        for name in ["4711", "9.90", "1,5", "A-001", "SKU-001", "B07XYZ1234", "2024-01-31", "12 €", "\\N"] {
            assert!(is_like_a_value(name), "{name}");
        }
        for name in ["sku", "Option1 Name", "Custom Label 0", "EAN-13", "Preis 2024 netto", "", "#"] {
            assert!(!is_like_a_value(name), "{name}");
        }
    }
}
