"""`tfvision studio`: a page of this machine on which a photo takes on the manner of paintings; and the view of it that `--preview` opens."""
