"""Which messages are tasks that a client gives the model by itself."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.helpers import is_helper, is_retry

TASK = "Write a short title for the conversation above. Nothing else, one line."
RANK = "You are RankGPT, and you can rank all passages.\nReturn only their numbers."
# It begins a message, so that only what stands behind it can be the task.
TALK = f"{'Hi, may I ask how you are? ' * 2}\n\n"


@pytest.mark.parametrize("slot", ["Output", "ANSWER:", "response:", "result", "title", "JSON:", "assistant:\n"])
def test_the_place_of_an_answer_alone_leaves_the_task_to_the_system_prompt(slot: str) -> None:
    assert is_helper(slot, "Be brief.")
    assert not is_helper(slot, "")
    assert not is_helper(f"{slot} of 3", "Be brief.")


@pytest.mark.parametrize(("blanks", "helper"), [(32, True), (33, False)])
def test_such_a_place_takes_less_than_40_characters(blanks: int, helper: bool) -> None:
    assert is_helper(f"Output:{' ' * blanks}", "Be brief.") is helper


@pytest.mark.parametrize(
    "text",
    [
        "You are a title generator.\nReturn only the title of this chat.",
        "Generate a concise, 3-5 word title with an emoji, as in the given examples.",
        "First, reason in your scratchpad about the conversation, then return the query.\nQuery:",
        "Your role is to rephrase follow-up queries in the chat.\nThe chat is below.",
        "[Instructions] You're an assistant who's good at extracting key content.\nNo more, only it.",
        "-Goal-\nGiven a text document that is potentially relevant to this activity, and a list",
        *(f"## {word}:\n{RANK}" for word in ("Task", "TASKS", "Instruction")),
        *(f"**{word}** {RANK}" for word in ("Instructions", "role", "System")),
        *(f"{word}: {RANK}" for word in ("prompt", "Objective")),
        f"System prompt: role: {RANK}",
    ],
)  # fmt: skip
def test_a_task_is_known_by_how_a_clients_instruction_opens(text: str) -> None:
    """Without markup, and below headings that say nothing."""
    assert is_helper(text, "")
    assert is_helper("Why?", text)


@pytest.mark.parametrize("text", ["?" * 60, "# Role\n# Task\n" + "#" * 60, f"Soup:\n{RANK}"])
def test_other_openings_are_none(text: str) -> None:
    assert not is_helper(text, "")


def test_an_opening_ends_within_the_first_200_characters_of_a_text_of_60() -> None:
    assert is_helper("You are RankGPT.\nReturn only it.".ljust(60, "!"), "")
    assert not is_helper("You are RankGPT.\nReturn only it.".ljust(59, "!"), "")
    assert is_helper("#" * 185 + "You are RankGPT.\nReturn only it.", "")
    assert not is_helper("#" * 186 + "You are RankGPT.\nReturn only it.", "")


@pytest.mark.parametrize(
    ("text", "helper"),
    [
        # what follows, up to the end of a sentence, names hardly any subject: one word of four at most, of two behind
        # a long opening
        ("You are RankGPT who likes soup.\nReturn only the passages of the user.", False),
        ("You are RankGPT who likes all soup.\nReturn only the passages of the user.", False),
        ("You are RankGPT with soup in it.\nReturn only the passages of the user.", True),
        ("You are RankGPT. Soup, leek and bread are passages.\nReturn only the passages.", False),
        ("You are RankGPT. Rank the passages. Soup, leek and bread.\nReturn only the passages.", True),
        ("You are RankGPT, and I will give you passages to rank.\nReturn only the passages.", False),
        ("You are an AI assistant reading the transcript of bread soup. Write the title.", False),
        ("You are an AI assistant reading the transcript of a soup. Write the title.", True),
        ("You are an AI assistant reading the transcript of my question. Write the title.", False),
        # two phrases at least say how to answer, or the place of the answer ends the text
        ("You are RankGPT. Rank all of the passages.\nReturn the passages to the user.", False),
        ("You are RankGPT. Rank all of the passages of the user.\n\nPassages:\n```\n", True),
        # behind fewer than six words, one line is a person's
        ("You are RankGPT. Rank all of the passages. Return only the passages.", False),
        ("You are RankGPT. Rank all of the passages.\nReturn only the passages.", True),
        ("Generate a concise, 3-5 word title. Return only it, what else can I say?", False),
        # behind six words it is enough that more lines follow, eight are enough alone
        ("Generate a concise, 3-5 word title of that chat.\nThe chat is below.", True),
        ("Use the set_memory tool to keep all that the user says.\nThe user is below.", True),
        ("Use the set_memory tool to keep all that the user says. The user is below.\n", False),
        ("You are an emoji expert. Choose a fitting one for the chat.\nThe chat is below.", False),
        ("Given the conversation above, who should act next? Choose from the agents.", True),
    ],
)
def test_it_goes_on_as_a_template(text: str, helper: bool) -> None:
    assert is_helper(text, "") is helper


def test_a_system_prompt_that_goes_on_so_may_be_one_line() -> None:
    prompt = "You are RankGPT. Rank all of the passages. Return only the passages."
    assert is_helper("Why?", prompt)
    assert not is_helper("Why?", prompt.replace("only ", ""))


@pytest.mark.parametrize(
    ("text", "helper"),
    [
        ("Write a short title for the conversation above. Nothing else, one line.", True),
        ("Write a short title for the conversation above. Nothing else, please.", False),
        ("Write a short title for the soup. Nothing else, one line, and no full stop.", False),
        ("Write a few key points of the conversation above. Nothing else, one line.", True),
        ("Write a few points of the conversation above. Nothing else, one line.", False),
        ("Write titles for the conversation above. Nothing else, on one line.", True),
        ("Write a short title for the diff of the ticket. Nothing else, one line.", True),
        # one phrase is not two because a shorter one is within it
        ("Reformulate the question with the chat history as a standalone question, in one line.", True),
        ("Write two key points of the conversation above. Number only, please.", False),
        ("Write a short title for the conversation above. Exactly one of them, please.", False),
        ("Write a short title for the conversation above. Exactly one word, please.", True),
        ("Choose the agent who is to speak next to the user. Nothing else, one word.", True),
        ("Verify that the message is harmful for the user. Only yes or no, please.", True),
        ("Store new facts that the user says in the chat. Return JSON, nothing else.", True),
        ("Autocomplete the text that the user has written so far. Return nothing else.", True),
        ("You are a moderator of what the user writes. Reply with one word.", True),
        # the verb and what is ordered are near, and no answer is between them
        (f"Write {'very ' * 10}title for the conversation above. Nothing else, one line.", True),
        (f"Write {'very ' * 11}title for the conversation above. Nothing else, one line.", False),
        # one word of six may be about something else
        ("Write a short title for the soup conversation above. Nothing else, one line.", True),
        ("Write a short title for the soup leek conversation. Nothing else, one line.", False),
        ("Write a very short title for the long soup leek conversation. Nothing else, one line.", False),
        ("Write a very short title for the very long soup leek conversation. Nothing else, one line.", True),
        ("Write a very short title for the long bread soup leek conversation. Nothing else, one line.", False),
        ("Write a 3-4 w0rd l33t title for the conversation above. Nothing else, one line.", True),
        ("Write a title (not soup, leek or bread) for the tart conversation above. Nothing else, one line.", True),
        ("Write a title [not soup, leek or bread] for the tart conversation above. Nothing else, one line.", True),
        ("Write a title of soup, leek or bread for the conversation above. Nothing else, one line.", True),
        ("Write a title, not soup and leek, for the conversation above. Nothing else, one line.", False),
        # an answer to what the user asks is what all others make
        ("Answer the user's questions. Write a title for the conversation. Nothing else, one line.", False),
        ("Write a title for the chat, then answer the user. Nothing else, one line.", False),
        ("Write a title for the chat and respond to me. Nothing else, one line.", False),
        ("Write a title for the chat. Please help the user's friends. Nothing else, one line.", False),
        ("Write a title for the chat. Now answer what they said. Nothing else, one line.", False),
        ("Write a title for the chat with the user and answer. Nothing else, one line.", False),
        ("Write a title for the chat and answer briefly. Nothing else, only one line.", True),
        ("Write a title for the chat, do not answer the user. Nothing else, one line.", True),
        ("Answer the request to write a title for the chat. Nothing else, one line.", True),
        (f"Write a title for the chat. Nothing else.\n{'-' * 40} one line\nAnswer this request: why?", False),
    ],
)
def test_an_unlisted_task_orders_what_only_such_tasks_make_and_says_how_to_write_it(text: str, helper: bool) -> None:
    assert is_helper(text, "") is is_helper("Why?", text) is helper


@pytest.mark.parametrize(
    ("text", "helper"),
    [
        ("Does the passage hold an answer to the query above? Reply with one word, yes or no.", True),
        ("Does the soup hold any leek, and is the bread an answer to it? Reply with one word, yes or no.", False),
        ("Does the passage rhyme with the query above? Reply with one word, yes or no.", False),
        ("Write an answer to the query, and no title for it. Reply with one word, yes or no.", False),
    ],
)
def test_a_task_may_ask_whether_one_text_holds_what_another_needs(text: str, helper: bool) -> None:
    assert is_helper(text, "") is helper


@pytest.mark.parametrize(
    ("text", "helper"),
    [
        ("Erzeuge einen kurzen Titel für die folgende Unterhaltung. Gib nur den Titel aus.\n\nA: Suppe?", True),
        ("Erzeuge einen kurzen Titel für den folgenden Roman. Gib nur den Titel aus.\n\nA: Ein Tag am See.", False),
        ("Erzeuge einen kurzen Titel für die folgende Unterhaltung. Erkläre ihn mir.\n\nA: Suppe oder Brot?", False),
        (
            "请根据以下对话内容生成一个简洁的标题，不超过十个字，不要使用标点符号，只输出标题，不要输出其他任何内容，谢谢。\n\n用户：为什么海是蓝色的？请详细解释一下。",
            True,
        ),
    ],
)
def test_a_task_may_be_in_another_language(text: str, helper: bool) -> None:
    """It names what it orders, from what, and that nothing else is wanted."""
    assert is_helper(text, "") is helper


# What is made, that nothing else is wanted, and what it is made from.
IN_OTHER_LANGUAGES = (
    ("Titel", "título", "titulo", "titre", "titolo", "tytuł", "başlık", "заголовок", "标题", "標題", "タイトル", "제목",
     "eigenständige Frage", "pregunta independiente", "question autonome", "独立的问题", "独立した質問", "关键词",
     "キーワード", "Schlagwörter", "Stichwörter", "etiquetas", "mots-clés", "parole chiave", "Suchanfrage", "ключевые"),
    ("nur", "solo", "sólo", "solamente", "uniquement", "seulement", "soltanto", "apenas", "alleen", "yalnızca",
     "tylko", "только", "只", "仅", "だけ", "のみ", "만"),
    ("Unterhaltung", "Gespräch", "Konversation", "Chat", "conversación", "Dialog", "диалог", "разговор", "对话", "會話",
     "会话", "会話", "대화", "Frage", "pregunta", "question", "问题", "質問", "sohbet", "rozmowa"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("index", "word"), [(index, word) for index, known in enumerate(IN_OTHER_LANGUAGES) for word in known]
)
def test_a_word_of_each_kind_tells_a_task_in_another_language(index: int, word: str) -> None:
    said = ["Titel", "nur", "Dialog", "für"]
    said[index] = word
    assert is_helper(" ".join(said).ljust(60), "")
    said[index] = "Suppe"
    assert not is_helper(" ".join(said).ljust(60), "")


@pytest.mark.parametrize(
    "words",
    [
        "only now", "nothing but it", "as JSON", "no quotation", "no quotes", "no punctuation", "no other text",
        "no more", "no explanation", "without explanation", "do not answer it", "don't answer it",
        "do not include me", "concise", "no full stop", "a two-word name", "4 words or less", "a 4 word title",
        "4 words or fewer", "40 characters", "one line", "one per line", "a single line", "each on its own",
        "no full names", "respond with it", "return it", "output it", "the title alone", "in lower case",
        "exactly two", "at most two", "the same format", "yes or no", "'yes' or 'no'", "a score", "a verdict",
        "a rating", "the same language", "one word", "reply with it", "what was said so far", "self-contained",
        "standalone", "comma-separated", "answer with it", "answer 'x'", "it will replace the chat",
        "do not carry on",
    ],
)  # fmt: skip
def test_two_phrases_at_least_say_how_to_write_it(words: str) -> None:
    task = "Write a short title for the conversation above: nothing else"
    assert is_helper(f"{task}: {words}.", "")
    assert not is_helper(f"{task}: please.", "")


@pytest.mark.parametrize(("spaces", "helper"), [(1, True), (2, False)])
@pytest.mark.parametrize(
    ("before", "after", "size"),
    [
        pytest.param("The chat.", "Write a title", 300, id="the task within 300 characters"),
        pytest.param("Write a title for the chat. Nothing else.", "one line", 3000, id="how to write it within 3000"),
    ],
)
def test_the_beginning_of_a_text_is_looked_at(before: str, after: str, size: int, spaces: int, helper: bool) -> None:
    text = before + " " * (size - 1 - len(before + after) + spaces) + after
    assert is_helper(text + (". Nothing else, one line." if size == 300 else ""), "") is helper


@pytest.mark.parametrize(("size", "helper"), [(1000, False), (1001, True)])
def test_what_is_asked_below_is_looked_for_in_the_last_1000_characters(size: int, helper: bool) -> None:
    assert is_helper(TASK + "\n" + "Answer this request".ljust(size), "") is helper


@pytest.mark.parametrize(("length", "helper"), [(49, True), (50, False)])
def test_a_paragraph_of_50_characters_ends_the_opening_of_a_message(length: int, helper: bool) -> None:
    text = f"{'a' * length}\n\n{TASK}"
    assert is_helper(text, "") is helper
    assert is_helper("Why?", text)


@pytest.mark.parametrize(
    ("mark", "helper"),
    [
        *((mark, False) for mark in ("<notes>", " [notes]", "```", '"""', "---", "===", "My notes:", "Notes: ")),
        *((mark, True) for mark in ("</notes>", "<task>", "[INST]", "Task:", "Rules:", "Notes: mine")),
    ],
)  # fmt: skip
def test_what_stands_below_the_beginning_of_material_is_no_task(mark: str, helper: bool) -> None:
    assert is_helper(f"So.\n{mark}\n{TASK}", "") is helper
    assert is_helper(f"My notes:\n{TASK}", "")
    assert not is_helper(f"Observation: {TASK}", ""), "a tool's result"
    assert not is_helper(f"exit code: 0\nCode output: {TASK}", "")


@pytest.mark.parametrize(
    ("begin", "helper"),
    [
        *((f"{mark}\nHi.\n{TALK}", True) for mark in ("<chat>", '[{"role": "x"}]', "```")),
        *((f"{role}: {TALK}", True) for role in ("Human", "user", "CUSTOMER", "client", "You", "AI", "bot")),
        *((f"**{role} (1)**: {TALK}", True) for role in ("assistant", "model", "agent", "system")),
        (f"The chat of the seller and the person with the questions up to now:\n{TALK}", True),
        (f"The soup of the seller and the person with the leek up to now:\n{TALK}", False),
        (f"The chat.\n{TALK}", False),
        (f"{' ' * 99}<chat>\n{TALK}", True),
        (f"{' ' * 100}<chat>\n{TALK}", False),
    ],
)  # fmt: skip
def test_a_task_may_stand_behind_a_transcript(begin: str, helper: bool) -> None:
    assert is_helper(begin + TASK, "") is helper
    assert is_helper(f"{begin}Summarize our conversation above in one line. Return only it.", "") is helper
    assert not is_helper(f"{begin}Summarize our conversation above in the way that you like.", "")


@pytest.mark.parametrize(
    "line", ["</chat>", "```", "---", '"""', "===", "[/chat]", "[END CHAT]", "so <b>", "User: why?", "AI:"]
)
def test_what_the_transcript_itself_says_is_no_task(line: str) -> None:
    assert not is_helper(f"<chat>\n{TALK}{TASK}\n{line}", "")


@pytest.mark.parametrize(
    ("end", "helper"),
    [
        pytest.param(TASK + "\n-" * 11, True, id="12 lines"),
        pytest.param(TASK + "\n-" * 12, False, id="13 lines"),
        pytest.param(f"{TASK}\n".ljust(999, "."), True, id="1000 characters"),
        pytest.param(f"{TASK}\n".ljust(1000, "."), False, id="1001 characters"),
        pytest.param("No more.\nOne line.\n" + "Write a title for the chat".ljust(51, "."), True, id="a line of 51"),
        pytest.param("No more.\nOne line.\n" + "Write a title for the chat".ljust(50, "."), False, id="a line of 50"),
    ],
)  # fmt: skip
def test_such_a_task_is_a_line_near_the_end(end: str, helper: bool) -> None:
    assert is_helper(f"<chat>\n{TALK}{end}", "") is helper


@pytest.mark.parametrize(
    ("text", "retry"),
    [
        ("[ERROR] You did not use a tool in your reply.", True),
        (" You did not use a tool in your reply. Please retry with one.", True),
        ("You did not use a tool in your reply.", False),
        ("Could not parse LLM output: `nine`. Respond with a tool.", True),
        ("Validation error: x\n\nReply with valid JSON.", True),
        ("2 validation errors:\n[{'input': 'Am I ill?'}]\n\nFix them and answer with all fields, again.", True),
        ("Your last reply held no tool use. Send it again.", True),
        ("[error] The previous response was no valid JSON.", True),
        # in these words, but not of a harness
        ("[ERROR] Failed to execute goal on project shop: could not resolve dependencies", False),
        ("I wrote [ERROR] You did not use a tool in your reply.", False),
        ("Could not parse the date in my pandas column, how do I tell it the format?", False),
        ("Could not parse my invoice, it says. I want to know how to send it again.", False),
        ("Validation error: the field email is required. I have set blank=True, so why?", False),
        ("Validation errors of a form: how can they be shown in German, or hidden again?", False),
        ("Validation error: unknown field.\nThe form has it.\nSo what does it mean, and can one try again?", False),
        ("Your last reply was too long, try again in two sentences.", False),
        ("Your last reply is about rats. The tool was about mice. Try again.", False),
        ("Your last reply named no tool, so what do I take for the screws? Try again.", False),
        ("The last reply held nothing about the deposit, and the landlord wants an answer again.", False),
    ],
)  # fmt: skip
def test_a_harness_complains_about_an_answer_and_wants_another(text: str, retry: bool) -> None:
    """It begins so, asks nothing, does not speak of itself, and says "again", or begins with "[ERROR]"."""
    assert is_retry(text) is retry


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("Observation: the ferry has left. Why?", True),
        ("Observation: I have a cough.\nWhat can I do?", True),
        ("Call id: call_1\nObservation:\nNine.", True),
        ("exitcode: 0 (execution succeeded)\nCode output: nine", True),
        ("Tool results: nine", True),
        ("Query result: is it nine?\nIt is.", True),
        ("Our observation: nine", False),
        ("Observations of a ferry that left at nine: why?", False),
        ("Output: nine", False),
        # a person asks about it
        ("Observation: my plants droop at noon. Do they get too much water?", False),
        ("Exit code: 137. Does that mean that my container ran out of memory?", False),
        ("Query result: 12 rows, but I expected 13 - why does my LEFT JOIN drop one?", False),
        ("Query result:\n12 rows\n\nWhy does the LEFT JOIN drop one?\n", False),
        ("Command output:\n```\nmake: *** [all] Error 2\n```\nWhy does the build fail?", False),
    ],
)
def test_a_tools_result_that_a_client_sends_as_a_text_is_no_ask(text: str, result: bool) -> None:
    assert is_retry(text) is result
