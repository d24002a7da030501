"""The one recipe of vgg19_slim, whose numbers are Vgg19SlimRecipe's own."""

from tfvision.trained.vgg19_slim_run import Vgg19SlimRecipe

RECIPES = {"vgg19-slim": Vgg19SlimRecipe}
