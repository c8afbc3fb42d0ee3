"""Encodings of files: what is certain is read, what several encodings fit is a doubt with their readings."""

import random
from pathlib import Path

import pytest

from domain.encodings import encoding_of_language, readings_in_language
from domain.errors import Invalid
from domain.files.encoding_detection import DetectedEncoding, detect_encoding
from infra.encoding import guess_encodings

ENGLISH = b"What is item number 1 about?,It is about the number 1.\r\n"
TEXTS: dict[tuple[str, str], str] = {
    ("cp1252", "French"): "Le café est fermé à midi.\nPrès de Genève, la forêt brûle.\nOù est passé le garçon ?\nJ'ai déjà mangé.\n",
    ("cp1252", "German"): "Wie heißt die größte Straße Kölns?\nWeiß ich nicht, für später.\n",
    ("cp1252", "Spanish"): "¿Dónde está la estación?\nMañana por la mañana, señor.\n",
    ("cp1252", "Portuguese"): "Não há pão.\nAs maçãs são boas; você já comeu?\nA informação é útil.\nAmanhã haverá eleições.\n",
    ("cp1252", "Swedish"): "Var är båten?\nDär borta på ön.\nJag förstår inte frågan.\nÄr det långt härifrån?\n",
    ("cp1250", "Czech"): "Příští řádek je prázdný.\nKde je nádraží? Třetí dveře vpravo.\n",
    ("cp1250", "Polish"): "Trzecie drzwi na prawo, proszę.\nŹdźbło trawy, łódź jest duża.\n",
    ("iso8859-2", "Polish"): "Trzecie drzwi na prawo, proszę.\nŹdźbło trawy, ąę śś.\nŁódź leży w środku Polski.\nDziękuję.\n",
    ("cp1250", "Hungarian"): "Hol van az állomás?\nÁrvíztűrő tükörfúrógép.\n",
    ("cp1251", "Russian"): "Где вокзал?\nТретья дверь направо.\n",
    ("cp1251", "Ukrainian"): "Де вокзал?\nТреті двері праворуч, будь ласка.\n",
    ("koi8-r", "Russian"): "Где вокзал?\nТретья дверь направо.\n",
    ("iso8859-5", "Russian"): "Где вокзал?\nТретья дверь направо.\n",
    ("cp1253", "Greek"): "Πού είναι ο σταθμός;\nΗ τρίτη πόρτα δεξιά.\n",
    ("cp1255", "Hebrew"): "איפה התחנה?\nכמה זה עולה? מחר בבוקר.\n",
    ("cp1256", "Arabic"): "أين المحطة؟\nكم السعر؟ غدا صباحا.\n",
    ("cp1257", "Lithuanian"): "Trečios durys dešinėje, ačiū.\nŽąsis ir šuo.\nŽmogus eina į mokyklą.\nŠiandien šviečia saulė.\n",
    ("cp874", "Thai"): "สถานีอยู่ที่ไหน\nราคาเท่าไหร่ พรุ่งนี้เช้า\n",
    ("cp932", "Japanese"): "駅はどこですか。\n右側の三番目のドアです。①\n",
    ("euc_jp", "Japanese"): "駅はどこですか。\n右側の三番目のドアです。\n",
    ("iso2022_jp", "Japanese"): "駅はどこですか。\n右側の三番目のドアです。\n",
    ("gb18030", "Chinese"): "火车站在哪里？\n营业时间为上午九点至下午六点。\n",
    ("big5", "Chinese"): "火車站在哪裡？\n營業時間為上午九點至下午六點。\n",
    ("johab", "Korean"): "표는 얼마입니까?\n고맙습니다, 저는 잘 지냅니다.\n오늘은 날씨가 좋습니다.\n",
    ("iso2022_kr", "Korean"): "표는 얼마입니까?\n고맙습니다.\n",
    ("hz", "Chinese"): "火车站在哪里？\n谢谢，我很好。\n",
    ("cp949", "Korean"): "역이 어디에 있습니까?\n오른쪽 세 번째 문입니다.\n",
}  # fmt: skip
DOUBTFUL: dict[tuple[str, str], str] = {
    ("cp1252", "Italian"): "C'è tempo.\nIl caffè è pronto. Perché no? Più tardi.\n",
    ("cp1250", "Romanian"): "A treia uşă pe dreapta.\nCâţi bani costă?\n",
    (
        "iso8859-16",
        "Romanian",
    ): "Unde este stația cea mai apropiată?\nMulțumesc.\nÎn fiecare zi învăț ceva nou.\n",
    ("cp1252", "Albanian"): "Ku është stacioni më i afërt?\nJam mirë.\nDëshironi të hani këtë?\n",
    ("cp1250", "Albanian"): "Ku është stacioni më i afërt?\nJam mirë.\nDëshironi të hani këtë?\n",
    ("iso8859-15", "Estonian"): "Tänan, mul läheb hästi.\nÕpilane sööb õuna.\n",
    ("cp866", "Russian"): "Где вокзал?\nТретья дверь направо.\n",
    ("cp1125", "Ukrainian"): "Скільки коштує квиток до Києва?\nДякую, у мене все гаразд.\n",
    ("kz1048", "Kazakh"): "Билет қанша тұрады?\nРақмет, жақсымын.\n",
    ("cp737", "Greek"): "Πόσο κοστίζει το εισιτήριο;\nΕυχαριστώ, είμαι καλά.\n",
    ("cp862", "Hebrew"): "כמה עולה הכרטיס?\nתודה, אני בסדר.\n",
    ("cp720", "Arabic"): "كم سعر التذكرة\nشكرا أنا بخير.\n",
    ("cp775", "Lithuanian"): "Kur yra artimiausia stotelė?\nAčiū, man viskas gerai.\n",
    ("iso8859-4", "Lithuanian"): "Kur yra artimiausia stotelė?\nAčiū, man viskas gerai.\n",
    ("cp857", "Turkish"): "İstanbul'da hava nasıl?\nÇocuklar bahçede oynuyor. Teşekkürler.\n",
    ("mac-latin2", "Czech"): "Kde je nejbližší zastávka?\nŘeka teče přes město.\n",
    ("cp852", "Polish"): "Dziękuję, mam się dobrze.\nŁódź leży w środku Polski.\n",
    ("cp850", "French à"): "Merci\nIl va à Paris demain\n",
    ("cp850", "Italian"): "Una città più bella\nLa novità\n",
    ("mac-roman", "Spanish"): "Ella llegó aquí.\nEste país es grande.\n",
    ("iso8859-2", "Slovenian"): "NOŽ\nMIŠ\n",
    ("cp1251", "Russian label"): "да\nнет\n",
    ("cp1251", "Russian capitals"): "КОШКА\nСОБАКА\n",
    ("iso8859-5", "Russian capitals"): "СКОЛЬКО СТОИТ БИЛЕТ ДО МОСКВЫ\nПОГОДА СЕГОДНЯ ПРЕКРАСНАЯ\n",
    ("cp1253", "Greek capitals"): "ΓΑΤΑ\nΣΚΥΛΟΣ\n",
    ("gb18030", "Chinese words"): "猫\n狗\n",
    ("euc_jp", "Japanese word"): "東京\n",
    ("mac-roman", "German"): "Wie groß ist er?\nÜber zwei Meter. In Köln.\n",
    ("mac-roman", "French"): "Près de Genève.\nLe père et la mère.\n",
    ("cp850", "German"): "Wie groß ist er?\nÜber zwei Meter. In Köln.\n",
    ("cp850", "French"): "Près de Genève.\nLe père et la mère.\n",
    ("mac-cyrillic", "Russian"): "Где вокзал?\nТретья дверь направо.\n",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def detected(file: Path, content: bytes) -> DetectedEncoding:
    file.write_bytes(content)
    return detect_encoding(file, guess_encodings)


def ids(texts: dict[tuple[str, str], str]) -> list[str]:
    return [" ".join(key) for key in texts]


@pytest.mark.parametrize(("key", "text"), TEXTS.items(), ids=ids(TEXTS))
@pytest.mark.parametrize(
    "before", [b"question,answer\r\n", ENGLISH * 6_000], ids=["at once", "after 256 KiB"]
)
def test_a_legacy_encoding_is_detected_from_a_few_lines(
    file: Path, key: tuple[str, str], text: str, before: bytes
) -> None:
    found = detected(file, (before.decode() + text).encode(key[0]))
    assert found.readings == ()
    assert text.encode(key[0]).decode(found.name) == text


@pytest.mark.parametrize(("key", "text"), DOUBTFUL.items(), ids=ids(DOUBTFUL))
def test_what_several_encodings_fit_is_a_doubt_with_the_right_reading(
    file: Path, key: tuple[str, str], text: str
) -> None:
    found = detected(file, b"question,answer\r\n" + text.encode(key[0]))
    assert 2 <= len(found.readings) <= 3
    assert found.readings[0].encoding == found.name
    assert any(reading.line in text.splitlines() for reading in found.readings)


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "cp949", "cp932", "euc_jp"])
@pytest.mark.parametrize("shift", range(4))
def test_no_character_is_cut_wherever_it_lies(file: Path, encoding: str, shift: int) -> None:
    lines = {
        "gb18030": "问题{},营业时间为上午九点至下午六点。\n",
        "big5": "問題{},營業時間為上午九點至下午六點。\n",
        "cp949": "질문{},영업시간은오전아홉시부터입니다.\n",
    }
    line = lines.get(encoding, "質問{},営業時間は午前九時から午後六時です。\n")
    text = "question" + "x" * shift + ",answer\n" + "".join(line.format(number) for number in range(3_000))
    found = detected(file, text.encode(encoding))
    assert (found.readings, text.encode(encoding).decode(found.name)) == ((), text)


@pytest.mark.parametrize(
    "text",
    ["I don’t know.\n", "He said “hello” – really…\n", "5 €, 20° and © 2026\n"],
)
def test_english_with_typographic_marks_is_windows_1252(file: Path, text: str) -> None:
    found = detected(file, b"q,a\n" + text.encode("cp1252"))
    assert (found.name, found.readings) == ("cp1252", ())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_unicode_is_never_in_doubt(file: Path, encoding: str) -> None:
    text = "question,answer\nC'è tempo.,Più tardi.\n" * 20
    found = detected(file, text.encode(encoding))
    assert (found.readings, text.encode(encoding).decode(found.name).lstrip("\ufeff")) == ((), text)


def test_utf_8_whose_first_other_character_comes_late_is_utf_8(file: Path) -> None:
    assert detected(file, ENGLISH * 40_000 + "C'è tempo.\n".encode()) == DetectedEncoding("utf-8")


def test_damaged_utf_8_is_no_other_encoding(file: Path) -> None:
    assert detected(file, "q,é\nä,ü\nö,".encode() + b"\xff\n") == DetectedEncoding("utf-8")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "FILE_EMPTY"),
        (b" \n\n", "FILE_EMPTY"),
        (b"PK\x03\x04 xlsx", "NOT_A_TABLE"),
        (b"q,a\n\x00\x01\x02\x03" * 90, "NOT_A_TABLE"),
        (b"\xd0\xcf\x11\xe0" + bytes(range(1, 256)) * 10, "NOT_A_TABLE"),
        (b"ID3\x03" + b"\xff\xfb\x90\x44" * 50, "NOT_A_TABLE"),
        (b"K+APY-ln,yes\n", "NOT_A_TABLE"),
        (bytes(random.Random(1).randbytes(4_000)), "NOT_A_TABLE"),  # noqa: S311
    ],
)
def test_what_is_no_text_is_refused(file: Path, content: bytes, reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        detected(file, content)
    assert refused.value.reason == reason


def test_the_language_of_a_dataset_decides_between_the_readings(file: Path) -> None:
    text = DOUBTFUL["cp1252", "Italian"]
    readings = detected(file, text.encode("cp1252")).readings
    assert encoding_of_language(readings, "ita") == "cp1252"
    assert encoding_of_language(readings, "ces") == "cp1250"
    assert encoding_of_language(readings, "jpn") is None
    assert encoding_of_language(readings, "eng") is None


def test_random_bytes_are_no_text(file: Path) -> None:
    for seed in range(50):
        content = random.Random(seed).randbytes(2_000).replace(b"\x00", b"")  # noqa: S311
        with pytest.raises(Invalid, match="binary data"):
            detected(file, b"q,a\n" + content)


@pytest.mark.parametrize("mark", [b"\x01", b"\x1b[31m", b"\x1a", b"\x7f"])
def test_a_few_control_characters_do_not_change_the_guess(file: Path, mark: bytes) -> None:
    text = TEXTS["cp1252", "French"].encode("cp1252")
    found = detected(file, b"q,a\n" + text.replace(b"midi", b"mi" + mark + b"di") + mark + b"\n")
    assert (found.name, found.readings) == ("cp1252", ())


@pytest.mark.parametrize("text", ["C++ + X-ray,a +49-30-123,+100-200 ~{ x ~}\n", "a+and-b,+abc-\n"])
def test_plus_signs_and_braces_in_ascii_are_no_escapes(file: Path, text: str) -> None:
    assert detected(file, text.encode()) == DetectedEncoding("utf-8")


@pytest.mark.parametrize("others", [1, 2, 5])
def test_lines_of_utf_8_among_others_are_damaged_utf_8(file: Path, others: int) -> None:
    line = "Où est le café?,Près de Genève\n"
    content = ("q,a\n" + line * 5).encode() + (line * others).encode("cp1252")
    assert detected(file, content) == DetectedEncoding("utf-8")


def test_two_chinese_characters_that_could_be_utf_8_do_not_make_a_file_damaged_utf_8(file: Path) -> None:
    text = "谢谢，我很好。今天天气很好。\n"
    assert detected(file, b"q,a\n" + text.encode("gb18030")).name == "gb18030"


def test_readings_begin_before_the_first_difference_of_a_long_line(file: Path) -> None:
    text = "An English sentence that goes on. " * 20 + "C'è tempo. Il caffè è pronto.\n"
    lines = [reading.line for reading in detected(file, b"q,a\n" + text.encode("cp1252")).readings]
    assert all(len(line) <= 200 for line in lines)
    assert len(set(lines)) == len(lines) >= 2


def test_the_western_code_page_is_among_the_readings(file: Path) -> None:
    text = "Il papà di Noè è già partito.\n"
    found = detected(file, b"q,a\n" + text.encode("cp1252"))
    assert "cp1252" in [reading.encoding for reading in found.readings]


def test_a_language_does_not_decide_between_encodings_of_its_own(file: Path) -> None:
    content = 'question,answer\r\n"Wie groß ist er?","Über zwei Meter."\r\n"Wo?","In Köln."\r\n'.encode(
        "mac-roman"
    )
    readings = detected(file, content).readings
    assert readings[0].encoding == "mac-roman"
    assert encoding_of_language(readings, "deu") is None


def test_a_guess_without_a_doubt_has_a_reading_for_the_language_to_object_to(file: Path) -> None:
    found = detected(file, b"q,a\n" + TEXTS["cp1252", "French"].encode("cp1252"))
    assert found.guess is not None
    assert found.guess.encoding == "cp1252"
    assert readings_in_language(found.guess, "fra") == ()
    assert readings_in_language(found.guess, "eng") == ()
    assert [reading.encoding for reading in readings_in_language(found.guess, "ces")] == ["cp1252", "cp1250"]
