import pytest

from tfvision.data.imports.licences import KNOWN_LICENCES, plain_licence


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("http://creativecommons.org/publicdomain/zero/1.0/legalcode", "CC0"),
        ("CC0_1_0", "CC0"),
        ("CC0", "CC0"),
        ("(c) Jane Doe, no rights reserved (CC0)", "CC0"),
        ("http://creativecommons.org/licenses/by/4.0/", "CC-BY"),
        ("CC_BY_4_0", "CC-BY"),
        ("cc-by", "CC-BY"),
        ("Attribution License", "CC-BY"),
        ("https://creativecommons.org/licenses/by-nc/4.0/legalcode", "CC-BY-NC"),
        ("CC_BY_NC_4_0", "CC-BY-NC"),
        ("CC BY-NC 4.0", "CC-BY-NC"),
        ("by-nc", "CC-BY-NC"),
        ("Attribution-NonCommercial License", "CC-BY-NC"),
        ("(c) Alex Bairstow, some rights reserved (CC BY-NC)", "CC-BY-NC"),
        ("This work is licensed under a Creative Commons Attribution-NonCommercial 3.0 Unported License", "CC-BY-NC"),
        ("http://creativecommons.org/licenses/by-nc-sa/3.0/de/", "CC-BY-NC-SA"),
        ("Attribution-NonCommercial-NoDerivs License", "CC-BY-NC-ND"),
        ("CC-BY-ND", "CC-BY-ND"),
        ("cc-by-sa", "CC-BY-SA"),
        ("PD", "PD"),
        ("http://creativecommons.org/publicdomain/mark/1.0/", "PD"),
        ("© Jane Doe, all rights reserved", "ALL-RIGHTS-RESERVED"),
        ("", ""),
        (None, ""),
        ("UNSPECIFIED", ""),
        ("Photo by Jane Doe", "Photo by Jane Doe"),
        ("by Jane Doe", "by Jane Doe"),
        ("Copyright ©  2012 The President\nand Fellows", "Copyright © 2012 The President and Fellows"),
    ],
)
def test_licences_have_one_name(text, licence):
    assert plain_licence(text) == licence


@pytest.mark.parametrize("name", KNOWN_LICENCES)
def test_a_plain_name_stays(name):
    assert plain_licence(name) == name
