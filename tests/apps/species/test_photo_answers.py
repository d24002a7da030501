from tfvision.apps.species.photo_answers import kept_answers


def test_of_a_photo_of_several_boxes_no_answer_is_kept(tmp_path):
    (tmp_path / "answers.csv").write_text("image,species,taxon,probability,is_right\na.jpg,A,A,0.9,1\ntwo.jpg,A,A,0.8,1\ntwo.jpg,B,A,0.7,0\n")
    assert list(kept_answers(tmp_path)) == ["a.jpg"]
