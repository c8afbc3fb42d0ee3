"""The letters that languages write beside those of ASCII, by which a text in the wrong encoding is told."""

from collections import Counter
from collections.abc import Collection

LATIN_ALPHABETS = (
    "áéíóúñüçàèòïªº",  # Spanish, Catalan, Galician, Basque
    "àâæçéèêëîïôœùûüÿ",  # French
    "àèéìíîòóùú",  # Italian
    "àáâãçéêíóôõúüªº",  # Portuguese
    "äöüßéèàáçñ",  # German
    "åäöéüàáæø",  # Swedish, Finnish
    "æøåéèêóòôäöü",  # Danish, Norwegian
    "áéëïóöüèêçíúà",  # Dutch
    "áðéíóúýþæö",  # Icelandic
    "áéíóúâêîôûŵŷäëïöü",  # Irish, Welsh
    "éàèïçñöüâêôûîáíóúëä",  # English, of loan words
    "ëç",  # Albanian
    "áčďéěíňóřšťúůýž",  # Czech
    "áäčďéíĺľňóôŕšťúýž",  # Slovak
    "ąćęłńóśźż",  # Polish
    "áéíóöőúüű",  # Hungarian
    "čćđšž",  # Croatian, Bosnian, Slovenian, Serbian
    "ăâîșțşţé",  # Romanian
    "ąčęėįšųūž",  # Lithuanian
    "āčēģīķļņšūž",  # Latvian
    "äõöüšž",  # Estonian
    "çğ\u0131iöşüâîû",  # Turkish
    "ăâđêôơưàáãèéìíòóùúý",  # Vietnamese
    "ĉĝĥĵŝŭ",  # Esperanto
    "ċġħżàèìòù",  # Maltese
)
RUSSIAN = "абвгдежзийклмнопрстуфхцчшщъыьэюяё"
CYRILLIC_ALPHABETS = (
    RUSSIAN,
    "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",  # Ukrainian
    "абвгдежзійклмнопрстуўфхцчшыьэюяё",  # Belarusian
    "абвгдежзийклмнопрстуфхцчшщъьюя",  # Bulgarian
    "абвгдђежзијклљмнњопрстћуфхцчџш",  # Serbian
    "абвгдѓежзѕијклљмнњопрстќуфхцчџш",  # Macedonian
    RUSSIAN + "әғқңөұүһі",  # Kazakh
)
ALPHABETS = tuple(frozenset(letters) for letters in LATIN_ALPHABETS + CYRILLIC_ALPHABETS)


def language_alphabet(letters: Counter[str]) -> Collection[str]:
    """The alphabet that has most of these small letters, by how often they occur."""
    return max(ALPHABETS, key=lambda alphabet: sum(letters[letter] for letter in alphabet))
