"""Words of the tasks that front ends and frameworks give a model by themselves. Data."""

from __future__ import annotations

from pointsman.routing.ask import words


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _task(verbs: str, things: str) -> tuple[list[str], frozenset[str]]:
    return verbs.split(), frozenset(things.split(", "))


TASKS = (
    _task(
        "what which generate generates generating create creates write writes provide suggest suggests give produce "
        "compose propose predict make makes extract extracts extracting extractor identify identifies find list "
        "determine determines think take come coming expand decompose break split turn convert crafting output "
        "assign name summarize summarizes summarise sum analyze analyzes formulate describe reply respond return "
        "choose pick",
        "title, titles, topic, topics, tags, label, labels, emoji, emojis, keyword, keywords, keyphrases, key phrases, "
        "queries, subqueries, subquestions, sub questions, search query, web query, retrieval query, up questions, "
        "up question, next questions, alternative questions, related questions, similar questions, likely questions, "
        "suggested questions, clarifying questions, versions, variations, wordings, suggestions, replies, summary, "
        "summaries, recap, triplets, entities, statements, sentiment, emotion, intent, intents, intention, headline, "
        "commit message, commit messages, a name, short name, session name, thread name, branch name, a passage, "
        "short passage, hypothetical passage, hypothetical document, memories, facts about, image prompt, document "
        "title, parameters, slots, insights, lessons, takeaways, quiz, choice questions, three questions, sub tasks, "
        "action items, highlights, key points, next message, handover, hand over, handoff, synonyms, related terms, "
        "that section, that passage, that paragraph, git branch, subject line, replies",
    ),
    _task(
        "summarize summarizes summarizing summarise summarizer compress compresses compressing condense condenses "
        "compact distill sum summary",
        "conversation, conversations, chat, history, discussion, thread, session, transcript, messages, dialogue, "
        "dialog, exchange, interaction, context",
    ),
    _task(
        "correct proofread rewrite rewrites rephrase rephrases reformulate reformulates condense turn convert refine "
        "improve enhance formulate paraphrase make translate translates",
        "query, question, questions, prompt, message, input, text, alone, standalone, by itself, on its, version",
    ),
    _task(
        "choose chooses select selects pick picks route routes decide decides determine determines classify "
        "classifies classifying classification categorize detect identify assign return returns name",
        "role, roles, agent, agents, worker, workers, speaker, participant, category, categories, class, classes, "
        "candidate, candidates, choices, options, destination, destinations, intent, speaks, acts, label, labels, "
        "sentiment, emotion, complexity, needed, necessary, necessity, the tool, language, who, handle, better, "
        "winner, one of, name of, urgency, priority, department, queue",
    ),
    _task(
        "compare compares comparing grade grades grading grader judge judges judging evaluate evaluates evaluating "
        "evaluator assess assesses assessing rate rates rating rank ranks ranking score scores scoring",
        "answer, answers, response, responses, document, documents, passages, quality, statement, statements, output",
    ),
    _task(
        "grade judge evaluate assess assessing rate score rank check verify determine decide classify detect",
        "relevance, relevant, relevancy, faithful, faithfulness, faithfully, grounded, helpful, helpfulness, "
        "correctness, supported, complies, safe, unsafe, harmful, toxic, spam, malicious, injection, jailbreak, "
        "policy, violates, allowed, blocked, sufficient, answerable, be answered, whether the, complexity, difficulty, "
        "attempt",
    ),
    _task(
        "save saves store stores update remember extract maintain manage manages manager keep record",
        "memory, memories, facts, preferences",
    ),
    _task(
        "complete completes continue autocomplete",
        "text, query, input, message",
    ),
    _task(
        "are",
        "rephraser, rewriter, classifier, grader, supervisor, summarizer, router, titler, tagger, reranker, "
        "moderator, evaluator, judge",
    ),
)
"""What such tasks do, and what with, alone or with the word before."""

CHECKS = _set(
    "hold holds contain contains relevant related mention mentions support supports supported grounded sufficient"
)
"""What questions about a text ask that are helper tasks: "Does the passage hold ...?"."""

THINGS = {
    verb: frozenset().union(*[things for verbs, things in TASKS if verb in verbs])
    for verb in [verb for verbs, _ in TASKS for verb in verbs]
}
"""What each verb is done with."""

ANSWERED = _set("answer answers answering reply replies respond responds response responses help helps")
"""What all other tasks make."""

ASKED = _set("question questions query queries user customer asks asked they me")
"""What an answer is to."""

ABOUT = _set(
    "memories ticket tickets conversation conversations chat chats dialogue dialog discussion discussions thread "
    "session history transcript message messages exchange user users human humans speaker question questions query "
    "input utterance request prompt text document documents context passage statement answer response content diff "
    "diffs changes choices candidates task excerpt answers responses submission"
)
"""What helper tasks are about."""

STRICT = (
    "only", "nothing else", "nothing but", "json", "quotation", "quotes", "punctuation", "no other text", "no more",
    "no explanation", "without explanation", "do not answer", "don't answer", "do not include", "concise", "full stop",
    "-word", "words or less", "word title", "words or fewer", "characters", "one line", "per line", "single line",
    "each on", "no full", "respond with", "return", "output", "alone", "lower case", "exactly", "at most", "format",
    "yes or no", "'yes' or 'no'", "score", "verdict", "rating", "same language", "one word", "reply with", "so far",
    "self-contained", "standalone", "comma-separated", "answer with", "answer '", "will replace", "do not carry",
    "only the", "no other word", "with no other", "true or false", "single word", "the digit", "number only",
    "label only", "name only", "or fewer", "no numbering", "in capitals", "must be",
)  # fmt: skip
"""How the instruction of a helper task says what to answer."""

FOREIGN = (
    ("nur ", "solo ", "sólo ", "solamente", "uniquement", "seulement", "soltanto", "apenas ", "alleen", "yalnızca",
     "tylko", "только", "只", "仅", "だけ", "のみ", "만 "),
    ("titel", "título", "titulo", "titre", "titolo", "tytuł", "başlık", "заголовок", "标题", "標題", "タイトル", "제목",
     "eigenständige frage", "pregunta independiente", "question autonome", "独立的问题", "独立した質問", "关键词",
     "キーワード", "schlagwörter", "stichwörter", "etiquetas", "mots-clés", "parole chiave", "suchanfrage", "ключевые"),
    ("unterhaltung", "gespräch", "konversation", "chat", "conversa", "dialog", "диалог", "разговор",
     "对话", "會話", "会话", "会話", "대화", "frage", "pregunta", "question", "问题", "質問", "sohbet", "rozmow"),
)  # fmt: skip
"""How such tasks say that nothing else is wanted (the rarest), what they order and are about, in other languages."""

NEUTRAL = (
    ABOUT
    | ANSWERED
    | words.FRAMES
    | frozenset(THINGS)
    | _set(" ".join([thing for _, things in TASKS for thing in things]))
    | _set(
        "fresh spelling grammar typos corrected changing llm bot chatbot system expert professional skilled "
        "specialist job goal purpose descriptive succinct single simple main overall important fitting current "
        "latest recent initial entire full retrieved characters punctuation quotes quotation marks max maximum two "
        "four five six ten seven several captures capture gist theme themes special broad independent self contained "
        "natural different multiple research optimized optimize database vector engine far names keeps decisions "
        "open retriever semantic suited scale staged stands according send meaning intended essence core focus base "
        "direct capitals fits fit fewer explanation commentary comma separated joined hyphens lower upper window "
        "nearly wanted matter matters terse imagine encyclopedia embedded compared reader address holds hold contain "
        "contains claims claim digit factual sums reads archive tried issue finish face facial expression likely "
        "situate chunk chunks purpose purposes improving retrieval specialized accurately storing adding onto "
        "returning previous activity entity types relationships criteria nodes conversational coding wants run "
        "modifies command specified rubric feedback responsible"
    )
)
"""Words of their instructions, which name no subject."""
