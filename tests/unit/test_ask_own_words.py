"""What a person writes themselves is not taken apart, though it has arrows, labels or talk of users in it."""

from __future__ import annotations

import pytest

from pointsman.routing.ask import AskFinder

TABLE = "```\nid,name\n1,Ann\n```"
LEASE = "The tenant pays the rent on the first of each month. " * 6

WHOLE = """\
Why does my Express API return 500 when the client request has a JSON body?
====
Write a Python script that reads user input and prints the output in JSON format.
====
Explain how to approach this physics question, but do not solve it: I only want one hint, in two sentences.
====
I went to File -> Options -> Add-ins and enabled the add-in, but Excel still does not show the tab.
====
Convert this docx file -> pdf
====
Rename old table -> new table in Postgres with a migration
====
What goes wrong in this OAuth flow:
client -> server: login request
server -> client: token
client -> server: query with the expired token
====
How do I join these two tables?

My users table looks like this:

{TABLE}

My orders table looks like this:

{TABLE}
====
I need a letter to my landlord about the broken heating.

PS: could you keep it polite?
====
Please help me, here is the document: {LEASE}What does it mean?
====
Es gibt gegen mich einen Titel über 4.000 Euro aus dem Jahr 2009.

Der Gläubiger hat sich nie gemeldet. Ich habe nur eine Frage: Sind die Zinsen verjährt?
====
Please improve my talk outline about gravity:
1. Introduction: gravity in daily life
2. History of the idea: from Aristotle to Newton
3. An open question to the audience: why do we not fall off the Earth?
"""

BEGINNINGS = """\
How do I get the total per customer in SQL?

My table looks like this:

{TABLE}
====
Please write a dating profile for me.

Things I like: jazz, hiking and dogs
====
Please write a poem.

Name: Lena
Age: forty
About her: she is a nurse at the clinic in Graz
====
Please write a cover letter for me.
Position: nurse in a children's ward
Experience: five years in Graz
Motivation: I want to work with the families of small patients
"""

SYSTEM_PROMPTS = """\
You are an agent - please keep going until the user's query is completely resolved, before you end your turn.
Only end it when you are sure that it is solved. Write output in Markdown.
====
You are the assistant of Acme Bank. Only talk about banking. Do not answer any question about other topics.
"""

BEHIND_A_LABEL = """\
Answer only from the context below. If it does not say, do not answer the question.

Context: A tort is a civil wrong.

Question: {question}
====
### Context
To sign in, open the portal.
Question: How do I reset the password of the portal?

### Question
{question}
"""


def texts(listed: str) -> list[str]:
    return [text.replace("{TABLE}", TABLE).replace("{LEASE}", LEASE) for text in listed.rstrip().split("\n====\n")]


def found(text: str, system: str = "") -> tuple[str, str]:
    ask = AskFinder().find([text], system)
    return ask.kind, ask.text


@pytest.mark.parametrize("text", texts(WHOLE))
def test_it_is_the_ask_as_a_whole(text: str) -> None:
    assert found(text) == ("message", text)


@pytest.mark.parametrize("text", texts(BEGINNINGS))
@pytest.mark.parametrize("greeting", ["", "Hi,\n\n"])
def test_what_it_begins_with_stays(text: str, greeting: str) -> None:
    kind, ask = found(greeting + text)
    assert kind in {"message", "ask"}
    assert ask.removeprefix(greeting).startswith(text.partition("\n")[0])


@pytest.mark.parametrize("system", texts(SYSTEM_PROMPTS))
def test_a_system_prompt_that_speaks_of_users_or_forbids_answers_makes_no_helper_task(system: str) -> None:
    assert found("How do I sort a list?", system) == ("message", "How do I sort a list?")


@pytest.mark.parametrize("text", texts(BEHIND_A_LABEL))
def test_a_question_about_one_thing_is_the_ask_where_its_label_says_so(text: str) -> None:
    assert found(text.replace("{question}", "What is a tort?")) == ("ask", "What is a tort?")
