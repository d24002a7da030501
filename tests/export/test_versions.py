from tfvision.export.versions import version_folders


def test_versions_are_folders_named_by_whole_numbers_of_64_bits(tmp_path):
    for name in ("10", "2", "9223372036854775807", "9223372036854775808", "-1", "1.5", "\u0663", "\u00b2", ".3.tmp", "latest"):
        (tmp_path / name).mkdir()
    (tmp_path / "7").touch()
    expected = [(2, "2"), (10, "10"), (2**63 - 1, "9223372036854775807")]
    assert [(number, path.name) for number, path in version_folders(tmp_path).items()] == expected


def test_what_is_no_folder_has_no_versions(tmp_path):
    (tmp_path / "file").touch()
    assert version_folders(tmp_path / "file") == version_folders(tmp_path / "nowhere") == {}
