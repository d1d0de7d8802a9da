"""throwaway: all pages"""
import os, pytest
from tests.browser import scene
from tests.browser.screenshots import busy
from pathlib import Path
O=Path("/tmp/shots"); O.mkdir(exist_ok=True)
def shoot(page,name,full=True):
    page.wait_for_timeout(1600); page.screenshot(path=O/f"{name}.png",full_page=full)
def test_all(page, identity):
    logs=[]; page.on("console",lambda m: logs.append(m.text)); page.on("pageerror",lambda e: logs.append("ERR "+str(e)))
    shoot(page,"empty")
    page.goto("/ui/workers/"); shoot(page,"workers-empty")
    page.goto("/ui/tasks/"); shoot(page,"tasks-empty")
    busy(identity); scene.lose_a_worker()
    from tasks_app.models import Task
    ids={}
    for name in ("story","picture","speech","caption","failure","running"):
        ids[name]=getattr(scene,name)(identity).pk
    ids["pending"]=Task.objects.filter(status="pending").first().pk
    ids["cancelling"]=Task.objects.filter(status="cancelling").first().pk
    def tour(sfx):
        page.goto("/"); shoot(page,"overview"+sfx)
        page.goto("/ui/tasks/"); shoot(page,"tasks"+sfx)
        page.goto("/ui/workers/"); shoot(page,"workers"+sfx)
        page.goto("/ui/submit/stable_diffusion/"); page.get_by_text("Parameters").click(); shoot(page,"submit"+sfx)
        for n,i in ids.items():
            page.goto(f"/ui/tasks/{i}/"); shoot(page,f"task-{n}{sfx}")
    which=os.environ.get("WHICH","light,dark,narrow").split(",")
    if "light" in which: tour("")
    if "dark" in which:
        page.emulate_media(color_scheme="dark"); tour("-dark"); page.emulate_media(color_scheme="light")
    if "narrow" in which:
        page.set_viewport_size({"width":390,"height":844}); tour("-narrow")
        page.set_viewport_size({"width":320,"height":700}); page.goto("/"); shoot(page,"overview-320")
        print("OVERFLOW", page.evaluate("document.documentElement.scrollWidth"))
    page.set_viewport_size({"width":1280,"height":900})
    page.goto("/nope"); shoot(page,"404")
    page.context.clear_cookies(); page.goto("/login/"); shoot(page,"login")
    page.get_by_label("User name").fill("x"); page.get_by_label("Password").fill("y"); page.get_by_role("button",name="Sign in").click(); shoot(page,"login-wrong")
    print("LOGS",logs)
