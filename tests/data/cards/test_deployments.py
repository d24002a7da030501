import datetime

import pytest

from tfvision.data.cards.deployments import Deployment, deployment_at, deployment_of_folder, deployments_of, read_deployments
from tfvision.errors import DataError


@pytest.mark.parametrize(
    "folder, name",
    [
        ("", "card"),
        ("DCIM", "card"),
        ("DCIM/100EOS_R", "card"),
        ("ridge/DCIM/101RECNX", "ridge"),
        ("2021/ridge", "2021/ridge"),
        ("DCIM/ridge", "DCIM/ridge"),
        ("100 m", "100 m"),
    ],
)
def test_folders_that_cameras_name_are_no_places(folder, name):
    assert deployment_of_folder(folder, "card").name == name


def test_a_table_names_deployments_by_their_folders(tmp_path):
    path = tmp_path / "deployments.csv"
    path.write_text("deployment;folder;lat;lon;start;end;habitat\nR1;.\\ridge\\;52,7;-3,5;2021-05-01;2021-05-31;oak\nvalley;;;;;;\n")
    ridge, valley = read_deployments(path)
    start, end = datetime.datetime(2021, 5, 1), datetime.datetime(2021, 5, 31, 23, 59, 59)
    assert ridge == Deployment("R1", "ridge", "", 52.7, -3.5, start, end, "oak") and valley == Deployment("valley", "valley")
    folders = ["ridge/DCIM/100EOS_R", "ridge", "valley", "bank/DCIM", ""]
    found = deployments_of(folders, "card", [ridge, valley])
    assert {folder: one.name for folder, [one] in found.items()} == {
        "ridge/DCIM/100EOS_R": "R1",
        "ridge": "R1",
        "valley": "valley",
        "bank/DCIM": "bank",
        "": "card",
    }


def test_the_columns_of_a_camtrap_dp_are_known(tmp_path):
    path = tmp_path / "deployments.csv"
    path.write_text("deploymentID,locationName,latitude,longitude,deploymentStart\ndep1,Ridge,1,2,2020-03-01T22:00:00Z\n")
    assert read_deployments(path) == [Deployment("dep1", "dep1", "Ridge", 1, 2, datetime.datetime(2020, 3, 1, 22, tzinfo=datetime.UTC))]


def test_a_camera_that_stood_twice_in_one_folder_is_told_by_its_days(tmp_path):
    path = tmp_path / "deployments.csv"
    path.write_text("deployment,folder,start,end\nspring,R1,2021-03-01,2021-04-30\nautumn,R1,2021-09-01,2021-10-31\n")
    both = deployments_of(["R1/DCIM"], "card", read_deployments(path))["R1/DCIM"]
    days = [datetime.datetime(2021, *day) for day in [(4, 1), (5, 2), (8, 30), (12, 1)]]
    assert [deployment_at(both, day).name for day in [*days, None]] == ["spring", "spring", "autumn", "autumn", "spring"]


def test_days_with_a_zone_are_those_of_the_cameras_clock():
    place = Deployment("a", "a", start=datetime.datetime(2021, 6, 1, 22, tzinfo=datetime.UTC), end=datetime.datetime(2021, 6, 3))
    assert place.days(120) == (datetime.datetime(2021, 6, 2), datetime.datetime(2021, 6, 3))
    assert place.days(None)[0] == datetime.datetime(2021, 6, 1, 22)
    always = Deployment("a", "a", start=datetime.datetime(1, 1, 1, tzinfo=datetime.UTC), end=datetime.datetime(9999, 12, 31, 23, 59, tzinfo=datetime.UTC))
    assert [always.days(minutes)[number] for minutes, number in ((-60, 0), (60, 1))] == [datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59)]


@pytest.mark.parametrize(
    "text, message",
    [
        ("camera,lat\nx,1\n", "has no column `deployment` or `folder`; its columns are camera, lat"),
        ("deployment\n", "lists no deployments"),
        ("deployment,lat,lon\nx,91,0\n", "line 2 has no place on Earth: latitude '91'"),
        ("deployment,lat,lon\nx,1,\n", "line 2 has no place on Earth"),
        ("deployment,start\nx,soon\n", "line 2 has a time that cannot be read, 'soon'"),
        ("deployment,start,end\nx,2021-05-02,2021-05-01\n", "line 2 ends before it starts"),
        ("deployment,folder,lat\nx,a,1\ny,a/,1\n", "has the folder 'a' twice|no place"),
        ("deployment,folder,start,end\nx,a,2021-05-01,2021-05-03\ny,a,2021-05-03,2021-05-09\n", "has the folder 'a' twice"),
        ("deployment,lat\nx,\n,1\n", "line 3 names neither a deployment nor a folder"),
    ],
)
def test_a_table_that_cannot_be_is_refused_by_line(tmp_path, text, message):
    (tmp_path / "deployments.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_deployments(tmp_path / "deployments.csv")
