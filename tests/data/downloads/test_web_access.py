import pytest

from tfvision.data.downloads.web_access import is_internal, is_link_local


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1", "2002:a00:1::",
    ],
)  # fmt: skip
def test_addresses_of_internal_networks(address):
    assert is_internal(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "193.0.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_addresses_of_the_internet(address):
    assert not is_internal(address)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "fe80::1%eth0", "fd00:ec2::254", "100.100.100.200"],
)
def test_addresses_where_clouds_keep_secrets(address):
    assert is_link_local(address) and is_internal(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "8.8.8.8"])
def test_addresses_that_may_be_allowed(address):
    assert not is_link_local(address)
